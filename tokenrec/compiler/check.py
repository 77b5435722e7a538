"""`tokenrec compile --check`: are the compiled programs those of this data, recipe, LM and objective?

No store is opened, nothing is written, and no LM is asked.
"""

from typing import Any

from tokenrec.dataset.load import load_dataset
from tokenrec.lm.writer import Writer, open_writer
from tokenrec.ranking.own import reward_id
from tokenrec.recipe.load import LoadedRecipe, task_order
from tokenrec.tasks.compiled import compiled_for, compiled_path, read_lock
from tokenrec.tasks.program import make_program, program_id
from tokenrec.tasks.spec import TaskSpec, task_spec

SAID = {
    "data_hash": "compiled on other data",
    "recipe_hash": "compiled for another version of the recipe",
    "objective": "compiled for another objective",
    "reward": "compiled for another reward",
}


def check_compiled(loaded: LoadedRecipe, most_users: int | None = None) -> dict[str, Any]:
    """The JSON document of `tokenrec compile --check --json`. Raises InputError for input that a compile refuses."""
    recipe, root = loaded.recipe, loaded.project.root
    writers = {name: open_writer(loaded.project, recipe.writer_of(name), asking=False) for name in task_order(recipe)}
    writers = {name: writer for name, writer in writers.items() if not writer.replay}  # whose programs are never saved
    programs = []
    if writers:
        data_hash = load_dataset(recipe, loaded.folder, most_users=most_users).data_hash
        now = compiled_for(recipe, data_hash, reward_id(recipe.reward, root))
        for name, writer in writers.items():
            spec = task_spec(recipe, name)
            path = compiled_path(root, spec.recipe, spec.name, writer.lm_id)
            programs.append({
                "task": name,
                "file": str(path.relative_to(root)),
                "stale_because": why_stale(spec, writer, loaded, now),
            })  # fmt: skip
    return {
        "kind": "check",
        "schema_version": 1,
        "recipe": recipe.name,
        "lm": open_writer(loaded.project, recipe.lm.writer, asking=False).lm_id,
        "stale": any(p["stale_because"] for p in programs),
        "programs": programs,
    }


def why_stale(spec: TaskSpec, writer: Writer, loaded: LoadedRecipe, now: dict[str, Any]) -> list[str]:
    """Reasons, the weightiest first; empty when the task's compiled program is that of today's recipe and data."""
    path = compiled_path(loaded.project.root, spec.recipe, spec.name, writer.lm_id)
    lock = read_lock(path)
    if lock is None:
        others = sorted(p.stem.partition("@")[2] for p in path.parent.glob(f"{spec.name}@*.json"))
        return [f"not compiled for {writer.lm_id}" + (f"; there is one for {', '.join(others)}" if others else "")]
    said = []
    if lock.source_id != program_id(spec, make_program(spec, writer, loaded.project.root), writer):
        said.append("compiled for an earlier version of this task")
    if lock.document.get("lm_id") != writer.lm_id:
        said.append(f"compiled for {lock.document.get('lm_id')}")
    was = lock.document.get("compiled_for") or {}
    return said + [text for key, text in SAID.items() if was.get(key) != now.get(key)]

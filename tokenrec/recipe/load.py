"""A recipe file → a checked Recipe, or every fault of the file at once."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tokenrec.config import LoadedProject, load_project
from tokenrec.ids import content_id
from tokenrec.recipe import check, outside
from tokenrec.recipe.explain import explain
from tokenrec.recipe.models import Recipe
from tokenrec.recipe.refs import choices_of, task_order
from tokenrec.recipe.tasks import Task
from tokenrec.recipe.yamlfile import Document, Problem, raise_problems, read_yaml

__all__ = ["LoadedRecipe", "choices_of", "load_recipe", "recipe_hash", "task_order"]


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe that passed every check. Data paths are relative to `folder`, the folder of `path`."""

    recipe: Recipe
    path: Path
    folder: Path
    recipe_hash: str
    project: LoadedProject


def recipe_hash(recipe: Recipe) -> str:
    """Identity of a recipe's meaning: comments, key order and spelled-out defaults do not change it."""
    return content_id(recipe.model_dump(mode="json", by_alias=True))


def load_recipe(path: Path | str, check_files: bool = True) -> LoadedRecipe:
    """Read and check the recipe at `path`.

    Raises InputError with one line for each fault, `file:line: key: what is wrong. what to do`, in file
    order. With `check_files=False` neither data files nor models nor the files of `use:` need to exist.
    """
    path = Path(path)
    document = read_yaml(path)
    project = load_project(path.parent)
    problems = []
    try:
        recipe, broken = Recipe.model_validate(document.value, strict=True), set()
    except ValidationError as error:
        problems += explain(error, document, Recipe)
        recipe, broken = _sound_parts(document)
    faults = list(check.check_recipe(recipe, broken))
    if check_files:
        faults += outside.check_models(recipe, project)
        faults += outside.check_files(recipe, path.resolve().parent, project)
    problems += [Problem(document.line(at), at, text) for at, text in faults]
    unread = {p.path for p in document.problems}  # what was read in their place is not worth a remark
    raise_problems(document.file, document.problems + [p for p in problems if p.path not in unread])
    return LoadedRecipe(recipe, path, path.resolve().parent, recipe_hash(recipe), project)


def _sound_parts(document: Document) -> tuple[Recipe, set[str]]:
    """What can still be checked of a recipe with faults: defaults (data: None) stand for unsound sections.

    Also the names of the tasks that were left out.
    """
    parts: dict[str, Any] = {"name": "unsound", "data": None, "tasks": {}}
    for key, field in Recipe.model_fields.items():
        if key in ("name", "about", "tasks") or key not in document.value:
            continue
        with suppress(ValidationError):
            parts[key] = TypeAdapter(field.annotation).validate_python(document.value[key], strict=True)
    tasks = document.value.get("tasks")
    for name, value in (tasks.items() if isinstance(tasks, dict) else ()):
        with suppress(ValidationError):
            parts["tasks"][name] = Task.model_validate(value, strict=True)
    return Recipe.model_construct(**parts), set(tasks or {}) - set(parts["tasks"]) if isinstance(tasks, dict) else set()

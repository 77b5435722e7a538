"""Why a task would be written or judged anew: the program in use against the one whose answers are in the store."""

from dataclasses import dataclass

from tokenrec.compiler.writing import Prepared
from tokenrec.generate.judging import gate_of
from tokenrec.generate.run import completion_lm
from tokenrec.lm.writer import Writer
from tokenrec.store import completions as store
from tokenrec.store.verdicts import all_judged, batch_of
from tokenrec.tasks.inputs import Prompt
from tokenrec.tasks.program import program_state, saved_weights


def why_stale(
    db, made: Prepared, writer: Writer, jobs: list[tuple[Prompt, int]], fed: dict[str, set[str]]
) -> list[str]:
    """Reasons, the weightiest first; empty when nothing is to be done.

    `jobs`: (prompt, sample) that would be asked for. `fed`: source task → subjects that show what it has yet to write.
    Asked before anything of the task is saved in `db`.
    """
    recipe, task = made.spec.recipe, made.spec.name
    before = store.current(db, recipe, task)
    if before is None:
        whole = len(jobs) == len({p.hash for p in made.prompts})
        return ["nothing written yet" if whole else "an earlier run was cut off"] if made.prompts else []
    lm_id = completion_lm(made.spec, writer)
    (old_lm, old_decode), (lm, decode) = (x.rpartition("#")[::2] for x in (before["lm_id"], lm_id))
    said = []
    if lm != old_lm:
        said.append(f"another LM: {lm} instead of {old_lm}")
    if decode != old_decode:
        said.append("decode parameters changed")
    if made.program_id != before["program_id"]:
        changes = _program_changes(*store.told_program(db, before["program_id"]), made)
        if not changes and lm == old_lm:  # what no state shows
            code = f"the code of {made.spec.task.use} or " if made.spec.task.use else ""
            changes = [f"{code}the task's outputs changed"]
        said += changes
    if said:
        return said if jobs else [*said, "the answers are stored: no calls"]
    if jobs:
        return _record_changes(store.subjects_of(db, recipe, task, before["program_id"], lm_id), made, jobs, fed)
    return []


def _program_changes(told: str, old: dict, made: Prepared) -> list[str]:
    """What differs between two programs, as far as their states say; another LM has other predictors."""
    new, said = program_state(made.program), []
    alike = [name for name in new if name in old]
    signatures = [(old[name]["signature"], new[name]["signature"]) for name in alike]
    if told != (made.spec.task.write or made.spec.task.use or "") or any(
        a["instructions"] != b["instructions"] for a, b in signatures
    ):
        said.append("the task's prompt changed")
    if any(a["fields"] != b["fields"] for a, b in signatures):
        said.append("the task's inputs or outputs changed")
    if any(old[name]["demos"] != new[name]["demos"] for name in alike):
        said.append("the task's examples changed")
    return said


def _record_changes(known: dict[str, str], made: Prepared, jobs: list, fed: dict[str, set[str]]) -> list[str]:
    """`known`: subject → input hash, of the program when it last wrote."""
    said, others = [], set().union(*fed.values())
    for source, subjects in fed.items():
        if subjects:
            part = f" for {len(subjects)} of {len(made.prompts)} records" if len(subjects) < len(made.prompts) else ""
            said.append(f"${source} will be rewritten{part}")
    own = [(p, sample) for p, sample in jobs if p.subject not in others]
    counts = {
        "new or changed record{s}": sum(known.get(p.subject) != p.hash for p, _ in own),
        "record{s} without an answer": sum(known.get(p.subject) == p.hash and not sample for p, sample in own),
        "record{s} without an accepted answer": sum(known.get(p.subject) == p.hash and sample > 0 for p, sample in own),
    }
    return said + [f"{n:,} {what.format(s='' if n == 1 else 's')}" for what, n in counts.items() if n]


@dataclass(frozen=True)
class Verdicts:
    """The verdicts that the store has on the task's present program: their gate id, and today's for the same batch."""

    gate_id: str | None
    today: str
    unjudged: bool


def stored_verdicts(db, made: Prepared, lm_id: str) -> Verdicts | None:
    """None where another program, or none, has the task's tokens. Asked before anything of the task is saved."""
    before = store.current(db, made.spec.recipe, made.spec.name)
    if before is None or (before["program_id"], before["lm_id"]) != (made.program_id, lm_id):
        return None
    key = (made.spec.recipe, made.spec.name, made.program_id, lm_id)
    weights = saved_weights(store.load_program(db, made.program_id, lm_id) or {}, made.spec)
    today = gate_of(batch_of(db, *key), weights, made.judge)
    return Verdicts(before["gate_id"], today, not all_judged(db, *key))


def why_judged(known: Verdicts, gate_id: str) -> str:
    """Why the present records' verdicts, which belong to `gate_id`, are not those of the store; empty when they are."""
    if gate_id == known.gate_id:
        return ""
    if known.today == known.gate_id:
        return "other records: judged again, no calls"
    if known.unjudged:
        return "an earlier run was cut off: its answers are judged, no calls"
    return "gates changed: judged again, no calls"

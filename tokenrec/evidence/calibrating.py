"""From the store's labels to the calibrations of a recipe's judges, as files under programs/calibrated/."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tokenrec.evidence.labels import sentence_labels
from tokenrec.evidence.recalibrate import Scored, recalibrate
from tokenrec.evidence.texts import TaskTexts, Text
from tokenrec.files import whole
from tokenrec.gates.base import Part
from tokenrec.gates.build import judge_ids
from tokenrec.gates.calibration import calibration_path, read_calibration
from tokenrec.gates.checks import Source, told
from tokenrec.gates.sentences import DROPPED
from tokenrec.gates.settle import SETTLED
from tokenrec.gates.text import places
from tokenrec.generate.scorers import open_scorers
from tokenrec.ids import unit_hash
from tokenrec.recipe.load import LoadedRecipe
from tokenrec.recipe.outputs import Factuality
from tokenrec.store.audits import parts_of
from tokenrec.tasks.spec import task_spec

MOST = 300  # texts without a label, by which thresholds are laid out
Labelled = Mapping[tuple[str, str], tuple[str, float, list[str] | None]]  # text key → label, weight, unsupported quotes


def calibrate_task(
    db, loaded: LoadedRecipe, texts: TaskTexts, known: Labelled, program: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Calibrate the judges of one task's outputs from its labels and write the file; what was there is replaced.

    Returns a row an output that has a judge.
    """
    task = loaded.recipe.tasks[texts.task]
    judged = {name: o for name, o in task.outputs.items() if o.type == "text" and o.judge != "rules"}
    if not judged:
        return []
    outputs = {}
    for name, output in judged.items():
        found = list(scored_texts(db, texts, known, name, output.judge))
        outputs[name] = recalibrate(texts.task, found, output.factuality, output.unsupported == "drop")
    document = {
        "kind": "calibration",
        "schema_version": 1,
        "recipe": loaded.recipe.name,
        "task": texts.task,
        "program_id": program["program_id"],
        "lm_id": program["lm_id"],
        "judges": _judges(loaded, texts.task),
        "outputs": outputs,
    }
    path = calibration_path(loaded.project.root, loaded.recipe.name, texts.task)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as partial:
        partial.write_text(json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    return [
        {"task": texts.task, "output": name, "judge": judged[name].judge, "file": str(path)}
        | {key: value for key, value in entry.items() if key != "thirds"}
        for name, entry in outputs.items()
    ]


def _judges(loaded: LoadedRecipe, task: str) -> dict[str, str]:
    spec = task_spec(loaded.recipe, task)
    return judge_ids(spec.task, open_scorers(loaded.project, loaded.recipe, spec))


def scored_texts(db, texts: TaskTexts, known: Labelled, output: str, judge: str) -> Iterator[Scored]:
    """The task's texts that only a threshold could refuse: all that have a label, and some that have none."""
    free = MOST
    for text in sorted(texts.distinct(), key=lambda t: unit_hash("calibrate", t.task, *t.key)):
        label = known.get(text.key)
        if set(text.gates) - set(SETTLED) or (label is None and not free):
            continue
        found = parts_of(db, text.completion_id, output)
        said = found.get(f"factuality/{judge}", ())
        live = _live(said, found.get(DROPPED, ()))
        if not live or places(text.output[output]) != [(start, end) for start, end, _ in said]:
            continue  # no score, or what is left of an answer: the scores are of the whole
        free -= label is None
        features = _features(text, output, judge)
        bad: list[bool | None] = []
        if label:
            at = [(start, end) for start, end, _ in live]
            bad = sentence_labels(text.output[output], label[0], label[2], at)
        of = tuple(features.get((start, end), {}) for start, end, _ in live)
        yield Scored(text.record, tuple(p for *_, p in live), of, tuple(bad), label[1] if label else 1.0)


def _live(parts: tuple[Part, ...], gone: tuple[Part, ...]) -> list[Part]:
    """The sentences that the rules have not taken out; what a threshold took out is judged again."""
    ruled = {(start, end) for start, end, p in gone if p == 1.0}
    return [p for p in parts if (p[0], p[1]) not in ruled]


def _features(text: Text, output: str, judge: str) -> dict[tuple[int, int], Mapping[str, float]]:
    if judge != "detector":
        return {}
    from tokenrec.gates.factuality.detector import load_detector

    scored = load_detector().with_features(text.output[output], told(Source(text.record, text.name)))
    return {(start, end): features for start, end, _, features in scored}


def keeps(entry: Mapping[str, Any], asked: Factuality) -> bool:
    """Whether a calibration was made for as much as the recipe asks, or more."""
    made = (entry["risk"], entry["confidence"])
    return None not in made and made[0] <= asked.risk and made[1] >= asked.confidence


def promises(loaded: LoadedRecipe, task: str, program: Mapping[str, str] | None) -> list[dict[str, Any]]:
    """What is promised of each output of a task that asks for it. `stale`: made for another program, or judge."""
    outputs = {n: o for n, o in loaded.recipe.tasks[task].outputs.items() if o.factuality}
    if not outputs:
        return []
    document = read_calibration(calibration_path(loaded.project.root, loaded.recipe.name, task))
    judges, found = _judges(loaded, task), []
    for name, output in outputs.items():
        entry = (document or {}).get("outputs", {}).get(name)
        stale = None
        if document and document["judges"].get(name) != judges.get(name):
            entry, stale = None, "the judge has changed since"
        elif document and program and document["program_id"] != program["program_id"]:
            stale = "made from labels of another prompt's texts; a new prompt may have found the judge's blind spots"
        elif entry and not keeps(entry, output.factuality):
            stale = f"made for risk {entry['risk']} at confidence {entry['confidence']}"
        found.append({
            "output": name, "risk": output.factuality.risk, "confidence": output.factuality.confidence,
            "on_unmet": output.factuality.on_unmet, "promised": bool(entry and entry["promised"] and not stale),
            "said": entry["said"] if entry else "no labels have set a threshold yet", "stale": stale,
            "passes": entry["passes"] if entry else None, "labels": entry["labels"] if entry else 0,
        })  # fmt: skip
    return found

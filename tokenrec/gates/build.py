"""The judge of a recipe's task, with what it needs of the catalogue."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenrec.dataset.types import Dataset
from tokenrec.errors import InputError
from tokenrec.gates.calibration import Calibration, calibration_of, calibration_path, read_calibration
from tokenrec.gates.factors import NO_FACTS, Facts
from tokenrec.gates.factuality.catalogue import Terms, catalogue_terms
from tokenrec.gates.judge import Judge
from tokenrec.gates.noise.catalogue import Titles
from tokenrec.gates.scoring import Scorer
from tokenrec.ids import canonical_json
from tokenrec.recipe.models import Recipe
from tokenrec.recipe.outputs import Output
from tokenrec.recipe.tasks import Task
from tokenrec.tasks.spec import TaskSpec

NONE: Mapping[str, Scorer] = {}

def make_judge(
    recipe: Recipe, spec: TaskSpec, dataset: Dataset, root: Path | None = None,
    scorers: Mapping[str, Scorer] | None = None,
) -> Judge:  # fmt: skip
    """The gates of one task. With the catalogue's names and vocabulary where an output is held to them, and what it
    knows of the item, shown to the LM or not, where one is open.

    root: the project's folder, where calibrations lie. scorers: the outputs' judges (generate/scorers.py). Raises
    InputError when a calibration can't be read.
    """
    key = recipe.data.items.name or recipe.data.items.text[0]
    names = (str(item[key]) for item in dataset.items if item.get(key))
    terms = terms_for(spec.subject, spec.outputs, dataset.items, names)
    about = spec.subject == "item" and any(o.type == "text" and o.ground == "open" for o in spec.outputs.values())
    facts = catalogue_facts(recipe, dataset) if about else NO_FACTS
    calibrations = task_calibrations(root, spec, scorers or {}) if root else {}
    more = {"calibrations": calibrations, "facts": facts, "scorers": scorers}
    return Judge(spec.name, spec.task, spec.choices, terms, **more)


def terms_for(
    subject: str, outputs: Mapping[str, Output], items: Sequence[Mapping[str, Any]], names: Iterable[str]
) -> Terms:
    """What a task's outputs must know of the catalogue: texts about items its vocabulary, unless they are free;
    titles its names."""
    about = subject == "item" and any(o.type == "text" and o.ground != "none" for o in outputs.values())
    terms = catalogue_terms(items) if about else Terms()
    return replace(terms, titles=Titles(names)) if any(o.in_catalogue or o.new for o in outputs.values()) else terms


def task_calibrations(root: Path, spec: TaskSpec, scorers: Mapping[str, Scorer] = NONE) -> dict[str, Calibration]:
    """By output; those made for another judge than the output now has are left out. Raises InputError for a file
    that cannot be read, or is of another task, whose thirds are cut elsewhere."""
    judges = judge_ids(spec.task, scorers)
    path = calibration_path(root, spec.recipe, spec.name)
    document = read_calibration(path) if judges else None
    if document is None:
        return {}
    if document["task"] != spec.name:
        raise InputError(f"{path}: it is of task {document['task']}. Delete it, or run: tokenrec eval --recalibrate")
    same = [name for name, judge in judges.items() if document["judges"].get(name) == judge]
    return {name: c for name in same if (c := calibration_of(document, name))}


def judge_ids(task: Task, scorers: Mapping[str, Scorer]) -> dict[str, str]:
    """By output that has a judge: which one, and with which weights, model or program. A calibration is of these."""
    judged = {n: o.judge for n, o in task.outputs.items() if o.type == "text" and o.judge != "rules"}
    return {name: judge_id(judge, scorers.get(name)) for name, judge in judged.items()}


def judge_id(judge: str, scorer: Scorer | None = None) -> str:
    """The judge with its weights, model or program."""
    if judge != "detector":
        return f"{judge}@{scorer.id}" if scorer else judge
    from tokenrec.gates.factuality.detector import weights_id

    return f"detector@{weights_id()}"


def catalogue_facts(recipe: Recipe, dataset: Dataset) -> Facts:
    """The fields that the recipe names as text and facts, by item."""
    fields = [*recipe.data.items.text, *recipe.data.items.facts]
    place = {item: i for i, item in enumerate(dataset.item_ids)}

    def of(subject: str) -> Mapping[str, Any]:
        record = dataset.items[place[subject]] if subject in place else {}
        return {f: record[f] for f in fields if record.get(f) not in (None, "", [])}

    digest = hashlib.sha256()
    for item in dataset.item_ids:
        digest.update(canonical_json([item, of(item)]).encode("utf-8", "surrogatepass"))
    return Facts(of, digest.hexdigest())

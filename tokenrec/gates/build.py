"""The judge of a recipe's task, with what it needs of the catalogue."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenrec.dataset.types import Dataset
from tokenrec.gates.calibration import Calibration, calibration_of, calibration_path, read_calibration
from tokenrec.gates.factuality.catalogue import Terms, catalogue_terms
from tokenrec.gates.judge import Judge
from tokenrec.gates.noise.catalogue import Titles
from tokenrec.recipe.models import Output, Recipe
from tokenrec.tasks.spec import TaskSpec


def make_judge(recipe: Recipe, spec: TaskSpec, dataset: Dataset, root: Path | None = None) -> Judge:
    """The gates of one task. With the catalogue's names and vocabulary where an output is held to them.

    root: the project's folder, where calibrations lie. Raises InputError when one can't be read.
    """
    key = recipe.data.items.name or recipe.data.items.text[0]
    names = (str(item[key]) for item in dataset.items if item.get(key))
    terms = terms_for(spec.subject, spec.outputs, dataset.items, names)
    calibrations = task_calibrations(root, spec) if root else {}
    return Judge(spec.name, spec.task, spec.choices, terms, calibrations=calibrations)


def terms_for(
    subject: str, outputs: Mapping[str, Output], items: Sequence[Mapping[str, Any]], names: Iterable[str]
) -> Terms:
    """What a task's outputs must know of the catalogue: closed texts about items its vocabulary, titles its names."""
    closed = subject == "item" and any(o.type == "text" and o.ground == "closed" for o in outputs.values())
    terms = catalogue_terms(items) if closed else Terms()
    return replace(terms, titles=Titles(names)) if any(o.in_catalogue for o in outputs.values()) else terms


def task_calibrations(root: Path, spec: TaskSpec) -> dict[str, Calibration]:
    """By output; those made for another judge than the output now has are left out."""
    judges = {name: judge_id(o.judge) for name, o in spec.outputs.items() if o.type == "text" and o.judge != "rules"}
    document = read_calibration(calibration_path(root, spec.recipe, spec.name)) if judges else None
    if document is None:
        return {}
    same = [name for name, judge in judges.items() if document["judges"].get(name) == judge]
    return {name: c for name in same if (c := calibration_of(document, name))}


def judge_id(judge: str) -> str:
    """The judge with its weights: a calibration is of these."""
    if judge != "detector":
        return judge
    from tokenrec.gates.factuality.detector import weights_id

    return f"detector@{weights_id()}"

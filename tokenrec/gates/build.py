"""The judge of a recipe's task, with what it needs of the catalogue."""

from pathlib import Path

from tokenrec.dataset.types import Dataset
from tokenrec.gates.calibration import Calibration, calibration_of, calibration_path, read_calibration
from tokenrec.gates.factuality.catalogue import catalogue_terms
from tokenrec.gates.judge import Judge
from tokenrec.recipe.models import Recipe
from tokenrec.tasks.spec import TaskSpec


def make_judge(recipe: Recipe, spec: TaskSpec, dataset: Dataset, root: Path | None = None) -> Judge:
    """The gates of one task. Closed texts about items are held against the catalogue's own vocabulary.

    root: the project's folder, where calibrations lie. Raises InputError when one can't be read.
    """
    closed = spec.subject == "item" and any(o.type == "text" and o.ground == "closed" for o in spec.outputs.values())
    terms = catalogue_terms(dataset.items) if closed else None
    calibrations = task_calibrations(root, spec) if root else {}
    return Judge(spec.name, spec.task, spec.choices, terms, calibrations=calibrations)


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

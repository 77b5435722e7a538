"""The judge of a recipe's task, with what it needs of the catalogue."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenrec.dataset.types import Dataset
from tokenrec.gates.calibration import Calibration, calibration_of, calibration_path, read_calibration
from tokenrec.gates.factors import NO_FACTS, Facts
from tokenrec.gates.factuality.catalogue import catalogue_terms
from tokenrec.gates.judge import Judge
from tokenrec.ids import canonical_json
from tokenrec.recipe.models import Recipe
from tokenrec.tasks.spec import TaskSpec


def make_judge(recipe: Recipe, spec: TaskSpec, dataset: Dataset, root: Path | None = None) -> Judge:
    """The gates of one task. Texts about items are held against the catalogue's own vocabulary, unless they are free;
    open ones also against what it knows of the item, shown to the LM or not.

    root: the project's folder, where calibrations lie. Raises InputError when one can't be read.
    """
    grounds = {o.ground for o in spec.outputs.values() if o.type == "text"} if spec.subject == "item" else set()
    terms = catalogue_terms(dataset.items) if grounds & {"closed", "open"} else None
    facts = catalogue_facts(recipe, dataset) if "open" in grounds else NO_FACTS
    calibrations = task_calibrations(root, spec) if root else {}
    return Judge(spec.name, spec.task, spec.choices, terms, calibrations=calibrations, facts=facts)


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

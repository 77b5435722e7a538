"""The judge of a recipe's task, with what it needs of the catalogue."""

from tokenrec.dataset.types import Dataset
from tokenrec.gates.factuality.catalogue import catalogue_terms
from tokenrec.gates.judge import Judge
from tokenrec.recipe.models import Recipe
from tokenrec.tasks.spec import TaskSpec


def make_judge(recipe: Recipe, spec: TaskSpec, dataset: Dataset) -> Judge:
    """The gates of one task. Closed texts about items are held against the catalogue's own vocabulary."""
    closed = spec.subject == "item" and any(o.type == "text" and o.ground == "closed" for o in spec.outputs.values())
    terms = catalogue_terms(dataset.items) if closed else None
    return Judge(spec.name, spec.task, spec.choices, terms)

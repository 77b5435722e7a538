"""The judge of a recipe's task, with what it needs of the catalogue."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tokenrec.dataset.types import Dataset
from tokenrec.gates.factuality.catalogue import Terms, catalogue_terms
from tokenrec.gates.judge import Judge
from tokenrec.gates.noise.catalogue import Titles
from tokenrec.recipe.models import Output, Recipe
from tokenrec.tasks.spec import TaskSpec


def make_judge(recipe: Recipe, spec: TaskSpec, dataset: Dataset) -> Judge:
    """The gates of one task, with the catalogue's names and vocabulary where an output is held to them."""
    key = recipe.data.items.name or recipe.data.items.text[0]
    names = (str(item[key]) for item in dataset.items if item.get(key))
    return Judge(spec.name, spec.task, spec.choices, terms_for(spec.subject, spec.outputs, dataset.items, names))


def terms_for(
    subject: str, outputs: Mapping[str, Output], items: Sequence[Mapping[str, Any]], names: Iterable[str]
) -> Terms:
    """What a task's outputs must know of the catalogue: closed texts about items its vocabulary, titles its names."""
    closed = subject == "item" and any(o.type == "text" and o.ground == "closed" for o in outputs.values())
    terms = catalogue_terms(items) if closed else Terms()
    return replace(terms, titles=Titles(names)) if any(o.in_catalogue for o in outputs.values()) else terms

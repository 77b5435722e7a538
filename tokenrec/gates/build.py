"""The judge of a recipe's task, with what it needs of the catalogue."""

import hashlib
from collections.abc import Mapping
from typing import Any

from tokenrec.dataset.types import Dataset
from tokenrec.gates.factors import NO_FACTS, Facts
from tokenrec.gates.factuality.catalogue import catalogue_terms
from tokenrec.gates.judge import Judge
from tokenrec.ids import canonical_json
from tokenrec.recipe.models import Recipe
from tokenrec.tasks.spec import TaskSpec


def make_judge(recipe: Recipe, spec: TaskSpec, dataset: Dataset) -> Judge:
    """The gates of one task. Texts about items are held against the catalogue's own vocabulary, unless they are free;
    open ones also against what it knows of the item, shown to the LM or not."""
    grounds = {o.ground for o in spec.outputs.values() if o.type == "text"} if spec.subject == "item" else set()
    terms = catalogue_terms(dataset.items) if grounds & {"closed", "open"} else None
    facts = catalogue_facts(recipe, dataset) if "open" in grounds else NO_FACTS
    return Judge(spec.name, spec.task, spec.choices, terms, facts=facts)


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

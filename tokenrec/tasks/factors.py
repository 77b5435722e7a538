"""Factors of a scene: proposed by an LM from a sample of the catalogue, for a person to edit (KAR)."""

import re
from dataclasses import dataclass
from typing import Any

from tokenrec.dataset.types import Dataset
from tokenrec.ids import unit_hash
from tokenrec.lm.plain import value_text
from tokenrec.lm.writer import Writer
from tokenrec.recipe.models import Recipe
from tokenrec.recipe.tasks import Task
from tokenrec.tasks.inputs import as_data
from tokenrec.tasks.spec import InputRef, TaskSpec

PROGRAM = "kar.FactorProposal"
SHOWN, LONGEST = 12, 300  # records, and characters of one
FEWEST, MOST, WORDS = 3, 12, 14  # usable proposals; words of what one covers
_LINE = re.compile(r"^[\s\-*•\d.)]*\**([A-Za-z][\w /&'-]{1,40}?)\**\s*[:–—-]+\s+(.{4,160})$")


@dataclass(frozen=True)
class Factor:
    name: str  # of the output
    covers: str


def proposal_inputs(recipe: Recipe, dataset: Dataset) -> dict[str, str]:
    """What the model is told: fields that may be sent, of items drawn by hash."""
    items = recipe.data.items
    fields = [f for f in dict.fromkeys([*items.text, *items.facts])
              if recipe.privacy.send is None or f in recipe.privacy.send]  # fmt: skip
    codes = sorted(range(len(dataset.item_ids)), key=lambda i: unit_hash("factors", dataset.item_ids[i]))[:SHOWN]
    lines = ["; ".join(f"{f}: {value_text(as_data(dataset.items[i].get(f)), LONGEST)}" for f in fields
                       if dataset.items[i].get(f) not in (None, "", [])) for i in codes]  # fmt: skip
    return {"about": recipe.about or recipe.name.replace("_", " "), "items": "\n".join(lines)}


def proposal_spec(recipe: Recipe) -> TaskSpec:
    task = Task.model_validate({
        "for": "item", "inputs": ["about", "items"], "write": "Name factors.",
        "outputs": {"factors": {"type": "text", "grounding": "none"}},
    })  # fmt: skip
    refs = tuple(InputRef(name, field=name) for name in task.inputs)
    return TaskSpec(recipe.name, "factors", task, {}, refs)


def propose(recipe: Recipe, dataset: Dataset, writer: Writer) -> tuple[list[Factor], Any]:
    """(usable factors, the LM's `Answer`). Raises BudgetStop and ServiceGone."""
    import asyncio

    from tokenrec.tasks.module import load_used
    from tokenrec.tasks.program import ask

    spec = proposal_spec(recipe)
    program = load_used(spec, writer, None, PROGRAM)

    async def once():
        try:
            return await ask(program, spec, writer, proposal_inputs(recipe, dataset))
        finally:
            if writer.wire:
                await writer.wire.aclose()

    answer = asyncio.run(once())
    return read_factors(answer.raw), answer


def read_factors(raw: str) -> list[Factor]:
    """The lines of an answer (JSON, or plain) that name a factor and say what it covers; MOST at most."""
    import json

    try:
        told = json.loads(raw)
        text = told.get("factors", "") if isinstance(told, dict) else raw
    except ValueError:
        text = raw
    lines = text if isinstance(text, list) else str(text).split("\n")
    found: dict[str, Factor] = {}
    for line in lines:
        match = _LINE.match(value_text(line))
        if match is None:
            continue
        name = re.sub(r"\W+", "_", match[1].strip().lower()).strip("_")
        covers = " ".join(match[2].split()[:WORDS]).rstrip(".;,")
        if re.fullmatch(r"[a-z]\w{1,39}", name) and name not in found:
            found[name] = Factor(name, covers)
    return list(found.values())[:MOST]


def as_yaml(recipe: Recipe, factors: list[Factor]) -> str:
    """A knowledge task with an output a factor, to be edited and put under `tasks:`."""
    import yaml

    fields = [f for f in recipe.data.items.text if recipe.privacy.send is None or f in recipe.privacy.send]
    open_text = {"type": "text", "grounding": "open", "or_unknown": True, "unverifiable": "drop", "max_words": 30}
    outputs = {f.name: {**open_text, "describe": f.covers} for f in factors}
    task = {
        "for": "item", "inputs": fields,
        "write": "Introduce the item to somebody who has never heard of it, factor by factor, from what you know for "
                 "certain. Where you do not know, write unknown.",
        "outputs": outputs, "agreement": {"samples": 3},
    }  # fmt: skip
    return yaml.safe_dump({"knowledge": task}, sort_keys=False, allow_unicode=True, width=110)

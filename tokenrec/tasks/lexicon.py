"""Texts put together from the record's own entries: a grammar, so that nothing can be invented."""

import re
from typing import Any

from tokenrec.gates.schema import tag_limits
from tokenrec.lm.plain import value_text
from tokenrec.recipe.outputs import Lexicon, Output
from tokenrec.tasks.spec import TaskSpec


def entries(lexicon: Lexicon, inputs: dict) -> list[str]:
    """The entries that a text about this record may use: list items whole, other values word by word."""
    found: list[str] = []
    for field in lexicon.from_:
        value = inputs.get(field)
        parts = (
            value if isinstance(value, (list, tuple)) else re.findall(r"[^\W_]+(?:[-'’][^\W_]+)*", value_text(value))
        )
        found += [value_text(p) for p in parts]
    return list(dict.fromkeys(e for e in found if e))


def beginning(lexicon: Lexicon, inputs: dict) -> str:
    """What the text begins with: the value of `begin`, empty where there is none."""
    return value_text(inputs.get(lexicon.begin)) if lexicon.begin else ""


def pattern(lexicon: Lexicon, inputs: dict) -> str | None:
    """A regular expression of all texts that the lexicon allows; None when the record has no entries."""
    words = entries(lexicon, inputs)
    if not words:
        return None
    body = "|".join(re.escape(w) for w in words)
    most = min(lexicon.most, len(words))
    if head := beginning(lexicon, inputs):
        between = _joins(lexicon.words[1:] or lexicon.words)
        return f"^{re.escape(head)}({_joins(lexicon.words[:1])})({body})(({between})({body})){{0,{most - 1}}}\\.$"
    first = "|".join(re.escape(w[0].upper() + w[1:]) for w in words)
    return f"^({first})(({_joins(lexicon.words)})({body})){{{min(1, most - 1)},{most - 1}}}\\.$"


def _joins(words: list[str]) -> str:
    return "|".join(f"{w} " if w == "," else f" {re.escape(w)} " for w in words)


def _list_of(output: Output) -> dict[str, Any]:
    """Tags in words of the model's own: so many, of so many words each."""
    fewest, most = tag_limits(output)
    word = r"[^ ,;\"\\]+"
    tags = {"type": "array", "items": {"type": "string", "pattern": f"^{word}( {word}){{0,{output.words_each - 1}}}$"}}
    return tags | {"minItems": fewest} | ({"maxItems": most} if most else {})


def lexicon_schema(spec: TaskSpec, inputs: dict[str, Any]) -> dict | None:
    """The response schema that holds texts to the record's own entries, for engines that obey it."""
    properties: dict[str, Any] = {}
    for name, output in spec.outputs.items():
        if name in spec.choices:
            continue
        properties[name] = {"type": "number" if output.type == "number" else "string"}
        if output.words_each:
            properties[name] = _list_of(output)
        if output.lexicon and (allowed := pattern(output.lexicon, inputs)):
            properties[name]["pattern"] = allowed
    if not properties:
        return None
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": spec.name, "schema": schema}}

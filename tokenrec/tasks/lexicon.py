"""Texts put together from the record's own entries: a grammar, so that nothing can be invented."""

import re

from tokenrec.lm.plain import value_text
from tokenrec.recipe.models import Lexicon


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


def pattern(lexicon: Lexicon, inputs: dict) -> str | None:
    """A regular expression of all texts that the lexicon allows; None when the record has no entries."""
    words = entries(lexicon, inputs)
    if not words:
        return None
    heads = words[: lexicon.lead] if lexicon.lead else words
    rest = [w for w in words if w not in heads]
    rest = rest if len(rest) >= 2 else words
    first = "|".join(re.escape(w[0].upper() + w[1:]) for w in heads)
    body = "|".join(re.escape(w) for w in rest)
    glue = "|".join(", " if w == "," else f" {re.escape(w)} " for w in lexicon.words)
    most = min(lexicon.most, len(words)) - 1
    return f"^({first})(({glue})({body})){{{min(1, most)},{most}}}\\.$"

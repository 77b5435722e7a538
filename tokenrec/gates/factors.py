"""Outputs as factors of their own: one that the model does not know, or has wrong, goes alone; the item stays.

(KAR asks a language model for several factors of an item; Xi et al. 2024.)
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..recipe.tasks import Task
from .base import Finding
from .checks import Rules, Source
from .factuality.open import AGREEMENT, CONTRADICTED_GONE, UNKNOWN, UNSURE, UNSURE_GONE
from .sentences import sound, without
from .text import clip


@dataclass(frozen=True)
class Facts:
    """What the catalogue knows of a subject, whether the LM was shown it or not; and a hash of all of it."""

    of: Callable[[str], Mapping[str, Any]]
    digest: str


NO_FACTS = Facts(lambda subject: {}, "")


def judged_unknown(text: str) -> Finding:
    return Finding(UNKNOWN, True, 1.0, "the model says that it does not know", clip(text))


def gone(found: Finding) -> Finding:
    """A factor without a value, since a check refused it."""
    gate = UNSURE_GONE if found.gate == UNSURE else CONTRADICTED_GONE
    return Finding(gate, True, 1.0, f"no value: {found.gate}: {found.reason}", found.quote)


def dropped(text: str, rules: Rules, source: Source, unsure: Finding) -> Finding:
    """`unsure`, whose parts are to be taken out; failed where nothing that passes the gates would be left."""
    rest = left(text, unsure)
    return unsure if rest and sound(rest, rules, source) else replace(unsure, passed=False)


def left(text: str, unsure: Finding | None) -> str:
    """The text without its unverifiable sentences."""
    return without(text, {(start, end) for start, end, _ in unsure.parts}) if unsure else text


def agreed(task: Task, field: str, output: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Generated tags and choices against those of further answers. A choice that most of them make otherwise fails;
    the score is the share of tags that fewer than half of them have. Scored ones come without: their probability is
    the agreement."""
    theirs = [o[field] for o in others if field in o]
    if task.outputs[field].ground != "open" or not theirs:
        return []
    if task.outputs[field].type == "choice":
        unlike = [v for v in theirs if v != output[field]]
        if len(unlike) >= 2 and len(unlike) > 2 * (len(theirs) - len(unlike)):
            said = ", ".join(f'"{v}"' for v in sorted(set(unlike)))
            why = f"{len(unlike)} of {len(theirs)} further answers say {said}"
            return [Finding(AGREEMENT, False, 1.0, why, output[field])]
    tags = output[field] if isinstance(output[field], list) else [output[field]]
    rare = [t for t in tags if sum(t in v if isinstance(v, list) else t == v for v in theirs) < len(theirs) / 2]
    share = round(len(rare) / max(len(tags), 1), 4)
    return [Finding(UNSURE, True, share, *(("few further answers agree", rare[0]) if rare else ()))]

"""Do further answers to the same question say the same? What a model knows recurs; what it makes up varies.

After SelfCheckGPT (Manakul et al. 2023), for short factual texts and without a language model: a sentence is
*supported* when its words, and which of them stand side by side, recur in further answers; *contradicted* when the
others put other names or numbers where it has its own (claims.py says where that is); else *unverifiable*.
"""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import NamedTuple

from ..text import is_cjk
from .claims import Claim, Slot, claims, pairs, shown, whole

SUPPORTED, CONTRADICTED, UNVERIFIABLE = "supported", "contradicted", "unverifiable"
ALIKE = 0.5  # at most this share of a sentence may be new: all of its words known, in another order, is .5


class Stated(NamedTuple):
    """What becomes of one claim. `score`: the share of it that nothing bears out, 0 to 1."""

    start: int
    end: int
    verdict: str
    score: float
    reason: str = ""  # of a contradiction: what the others say
    quote: str = ""  # of a contradiction: the words that are contradicted, verbatim


def agreement(text: str, others: Sequence[str], name: str = "", known: Collection[str] = ()) -> list[Stated]:
    """A verdict on every sentence of `text` that says something. `others`: further answers; their order is nothing.

    `name`: the subject's, which every answer repeats. `known`: stems that are vouched for, such as the record's.
    Contradicted: at least two answers fill the same slot otherwise, and more than twice as many as agree. One further
    answer contradicts nothing: either may be the wrong one.
    """
    return list(_agreement(text, tuple(sorted(others)), name, frozenset(known)))


@lru_cache(maxsize=64)  # two checks ask in turn
def _agreement(text: str, others: tuple[str, ...], name: str, known: frozenset[str]) -> tuple[Stated, ...]:
    said = [claims(other, name) for other in others]
    had = frozenset(w for answer in said for c in answer for w in c.content)
    beside = frozenset(p for answer in said for c in answer for p in pairs(c.content))
    found = []
    for claim in claims(text, name):
        score = _new(claim, had | known, beside, known)
        if clash := _clash(text, claim, others, said, name) or _other_value(text, claim, others, name, known):
            found.append(Stated(claim.start, claim.end, CONTRADICTED, score, *clash))
        else:
            verdict = SUPPORTED if score <= ALIKE and _recurs(text, claim, others, said, name, known) else UNVERIFIABLE
            found.append(Stated(claim.start, claim.end, verdict, score))
    return tuple(found)


def _new(claim: Claim, had: frozenset[str], beside: frozenset, known: frozenset[str]) -> float:
    """Share of the claim's words, and of its neighbouring words, that are nowhere else; the mean of the two."""
    own = set(claim.content)
    lone = sum(w not in had for w in own) / len(own)
    if not (near := pairs(claim.content)):
        return lone
    return round((lone + sum(p not in beside and not known.issuperset(p) for p in near) / len(near)) / 2, 4)


def _clash(
    text: str, claim: Claim, others: Sequence[str], said: Sequence[tuple[Claim, ...]], name: str
) -> tuple[str, str] | None:
    """(what the others say, the words contradicted) for the first slot that most of them fill otherwise."""
    for slot in claim.slots:
        if any(_several(slot.key, answer) for answer in (claims(text, name), *said)):
            continue
        agree, differ = 0, []
        for other, answer in zip(others, said):
            theirs = [s for c in answer for s in c.slots]
            if _has(slot, other, answer):
                agree += 1
            elif unlike := next((s for s in theirs if s.key == slot.key), None):
                differ.append(shown(other, unlike))
        if _outvoted(agree, len(differ)):
            what = ", ".join(f'"{value}"' for value in sorted(set(differ)))
            return f"{len(differ)} of {len(others)} further answers say {what}", shown(text, slot)
    return None


def _several(key: tuple[str, ...], answer: Sequence[Claim]) -> bool:
    """Whether one answer fills the slot with more than one value, so that two values contradict nothing."""
    filled = [s for c in answer for s in c.slots if s.key == key]
    return any(not s.agrees(filled[0]) for s in filled[1:])


def _outvoted(agree: int, differ: int) -> bool:
    return differ >= 2 and differ > 2 * agree


def _has(slot: Slot, other: str, answer: tuple[Claim, ...]) -> bool:
    """Whether an answer says the slot's value, there or anywhere in its words."""
    if any(s.key[0] == slot.key[0] and s.agrees(slot) for c in answer for s in c.slots):
        return True
    stems = {w for c in answer for w in c.content}
    if isinstance(slot.value, frozenset):
        return not stems.isdisjoint(slot.value) or any(is_cjk(v) and v in other for v in slot.value)
    return f"{slot.value:g}" in stems


def _recurs(text: str, claim: Claim, others, said, name: str, known: frozenset[str]) -> bool:
    """Names, numbers and whole short fields must recur in half of the further answers; ordinary words need not."""
    need = len(others) / 2
    value = whole(text, name) or frozenset()
    if value and not value & known and sum(any(value & {*c.content} for c in answer) for answer in said) < need:
        return False
    for slot in claim.slots:
        vouched = slot.value & known if isinstance(slot.value, frozenset) else f"{slot.value:g}" in known
        if not vouched and sum(_has(slot, o, a) for o, a in zip(others, said)) < max(need, 1):
            return False
    return bool(others) or known.issuperset(claim.content)


def _other_value(text: str, claim: Claim, others, name: str, known: frozenset[str]) -> tuple | None:
    """A short field that is a name as a whole is a slot by itself."""
    value = whole(text, name)
    if value is None or value & known:
        return None
    theirs = [(other, found) for other in others if (found := whole(other, name)) is not None]
    differ = sorted({other.strip() for other, found in theirs if found.isdisjoint(value)})
    votes = sum(found.isdisjoint(value) for _, found in theirs)
    if not _outvoted(len(theirs) - votes, votes):
        return None
    what = ", ".join(f'"{d[:60]}"' for d in differ)
    return f"{votes} of {len(others)} further answers say {what}", text[claim.start : claim.end]

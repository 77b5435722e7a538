"""Closed vocabularies: tags and choices that are not in it, too many, too few, twice."""

from collections.abc import Sequence

from ..base import Finding

GATE = "noise/vocabulary"


def vocabulary(tags: Sequence[str], choices: Sequence[str] | None, least: int = 1, most: int | None = None) -> Finding:
    """Fails unless `tags` are distinct, all in `choices` (None: any), and least <= len(tags) <= most.

    Spelling counts: features are columns named by the choices.
    """
    for tag in tags:
        if choices is not None and tag not in choices:
            close = next((c for c in choices if c.casefold() == tag.strip().casefold()), None)
            return Finding(GATE, False, 1.0, f"not in the vocabulary{f' (write {close})' if close else ''}", tag)
    seen: set[str] = set()
    for tag in tags:
        if tag.casefold() in seen:
            return Finding(GATE, False, 1.0, "given twice", tag)
        seen.add(tag.casefold())
    if len(tags) < least:
        return Finding(GATE, False, 1.0, f"{len(tags)} tags, at least {least} asked for", tags[0] if tags else "[]")
    if most is not None and len(tags) > most:
        return Finding(GATE, False, 1.0, f"{len(tags)} tags, at most {most} asked for", tags[-1])
    return Finding(GATE, True)

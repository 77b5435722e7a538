"""Sentences of a text as units: the text without some, and taking out those that the rules refuse."""

from collections.abc import Collection

from .base import Finding
from .checks import CLOSED, Rules, Source, checks_for
from .text import Place, clip, places

DROPPED = "factuality/dropped"


def without(text: str, gone: Collection[Place]) -> str:
    """The text without the sentences at `gone`, nor what stands between each and the next."""
    if not gone:
        return text
    found = places(text)
    following = [start for start, _ in found[1:]] + [len(text)]
    return "".join(text[at[0] : then] for at, then in zip(found, following) if at not in gone).strip()


def trimmed(text: str, rules: Rules, source: Source) -> tuple[str, Finding] | None:
    """(what is left, the soft finding whose parts are the dropped sentences) where the closed-world rules refuse some
    sentences, but neither all of them nor what is left; None where the text can't be saved that way."""
    bad = []
    for start, end in places(text):
        said = (check(text[start:end], rules, source) for check in CLOSED.values())
        if found := next((f for f in said if not f.passed), None):
            bad.append((start, end, found.reason))
    rest = without(text, {(start, end) for start, end, _ in bad})
    if not bad or not rest or not sound(rest, rules, source):
        return None
    start, end, why = bad[0]
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    parts = tuple((start, end, 1.0) for start, end, _ in bad)
    return rest, Finding(DROPPED, True, None, f"dropped: {why}{more}", clip(text[start:end]), parts=parts)


def sound(text: str, rules: Rules, source: Source) -> bool:
    """Whether no hard check refuses the text."""
    return all(check(text, rules, source).passed for check in checks_for(rules, hard=True).values())

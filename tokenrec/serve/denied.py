"""What the rest of a request, its limits taken out, says is not wanted: "nothing too sweet or rich"."""

from collections.abc import Container

from tokenrec.gates.text import listed, tokens
from tokenrec.serve.cues import FILL, MADE, SOFT
from tokenrec.serve.limits import phrase

_DENY = listed("not no less without nothing never neither isn't aren't isnt arent doesn't don't")
_BETWEEN = (FILL - MADE | SOFT | listed("being anything something much particularly terribly")) - listed(
    "only just always necessarily"  # "not only sweet" wants it sweet
)


def denied(text: str, tags: Container[str]) -> list[tuple[int, int, int]]:
    """What is not wanted, as it stands in the rest of a request: words from `begin`, the "no" or "not", to `end`, of
    which that at `first` is the first thing. "nothing too sweet or rich" is of both tags."""
    rest = tokens(text)
    stems, found, at = [phrase(word) for word, *_ in rest], [], 0

    def behind(place: int) -> bool:
        return place < len(rest) and not text[rest[place - 1][2] : rest[place][1]].strip()

    def thing(place: int) -> int:
        """Where what is denied begins, past words that say nothing; where the sentence goes on, without any."""
        while behind(place) and rest[place][0] in _BETWEEN and not tag_at(stems, place, tags):
            place += 1
        return place

    while at < len(rest):
        word, before = rest[at][0], rest[at - 1][0] if at else ""
        first = thing(at + 1)
        if word not in _DENY or before == "why" or (word, before) == ("less", "or") or not behind(first):
            at += 1
            continue
        if rest[first][0] in _DENY:  # "no less sour"
            at = first + 1
            continue
        end = first + (tag_at(stems, first, tags) or 1)
        while behind(end) and rest[end][0] in ("or", "nor") and (size := tag_at(stems, thing(end + 1), tags)):
            end = thing(end + 1) + size
        found.append((at, first, end))
        at = end
    return found


def tag_at(stems: list[str], at: int, tags: Container[str]) -> int:
    """How many words from `at` on name a tag; 0 for none."""
    return next((n for n in (3, 2, 1) if at + n <= len(stems) and " ".join(stems[at : at + n]) in tags), 0)

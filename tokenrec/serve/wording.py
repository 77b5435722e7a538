"""The limits that a request in English states: "no pork, under 30 minutes, nut allergy"; what is left is the wish.

Three kinds of words tell of a limit (`cues.py`): those that deny ("no", "don't eat"), those that put aside ("avoid",
"anything but") and those of illness ("allergic to", "intolerance"). The things behind them, or before them, are the
limit. Where one of them stands near food and no limit comes of it, the request is not understood, and that is said: a
limit passed over is the worst that can happen. Other languages are turned into English first (`request.py`).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from tokenrec.gates.text import STOP
from tokenrec.serve.amounts import amounts
from tokenrec.serve.cues import (
    AFTER,
    ALARM,
    ALONE,
    AUX,
    BARE,
    DENIED_HAN,
    DISHES,
    EASE,
    EATS,
    FILL,
    JOINTS,
    LIKING,
    MADE,
    NOT,
    OUT,
    PROMISES,
    SICK,
    SKIPPED,
    SOFT,
    STOPS,
    WANTS,
)
from tokenrec.serve.limits import Limit, groups, named, phrase, together
from tokenrec.serve.plain import near, plain

_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[^\w\s]")
NEAR = 6  # words between a word that tells of a limit and food, within which it is not passed over


@dataclass(frozen=True)
class Parsed:
    """A request, its limits, and what is left to look for.

    `unkept`: limits that no fact can keep. `unread`: what sounds like a limit and could not be read as one.
    """

    limits: list[Limit]
    rest: str
    unkept: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


@dataclass
class _Reading:
    """A request as it is read. `gone`: tokens of limits, no wishes; `eased`: denials that are none ("not too")."""

    tokens: list[str]
    known: Callable[[str], bool]
    limits: list[Limit]
    unkept: list[str]
    unread: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.low = [t.lower() for t in self.tokens]
        self.gone = [False] * len(self.tokens)
        self.eased = [False] * len(self.tokens)

    def said(self, begin: int, end: int) -> str:
        return " ".join(self.tokens[begin:end])

    def ahead(self, at: int, most: int = 6) -> str:
        return " ".join(self.low[at : at + most])

    def clause(self, at: int) -> tuple[int, int]:
        """Begin and end of the clause around a token."""
        stops = [i for i, t in enumerate(self.low) if t in STOPS and i != at]
        begin = max([i + 1 for i in stops if i < at], default=0)
        return begin, min([i for i in stops if i > at], default=len(self.low))


def parse(request: str, numbers: Iterable[str], known: Callable[[str], bool]) -> Parsed:
    """The limits of a request in English and what is left of it.

    `numbers` are the record's number fields; `known` says whether a `phrase` is among the words that say what items
    are made of. A "no ..." of something that is neither known nor a group ("no fuss") is left in the request, and said
    to be kept by no fact unless it is a turn of phrase.
    """
    rest, limits, unkept = amounts(request, numbers)
    tokens = [m[0] for m in _TOKEN.finditer(plain(rest, known))]
    r = _Reading(tokens, known, limits, unkept)
    at = 0
    while at < len(tokens):
        at = _read(r, at)
    _pass_over_nothing(r)
    seen: dict[tuple, Limit] = {}
    for limit in r.limits:
        seen.setdefault((limit.kind, limit.name, limit.most), limit)
    return Parsed(list(seen.values()), _joined(tokens, r.gone), list(dict.fromkeys(r.unkept)), r.unread)


def _read(r: _Reading, at: int) -> int:
    """Read what begins at one token; returns where to go on."""
    word, ahead = r.low[at], r.ahead(at)
    if word in PROMISES or ahead.startswith("on a diet"):
        r.unkept.append(word if word in PROMISES else "on a diet")
        r.gone[at] = word in PROMISES
        return at + 1
    after = r.low[at + 1] if at + 1 < len(r.low) else ""
    if word in ("low", "lower", "reduced") and after.isalpha() and after not in STOP:
        r.unkept.append(r.said(at, at + 2))
        return at + 2
    if word in NOT:
        return _denied(r, at)
    out = OUT.match(ahead)
    if out:
        return _behind(r, at, at + len(out[0].split()))
    if SICK.fullmatch(word):
        return _behind(r, at, at + 1, sick=True)
    return _before(r, at) or at + 1


def _denied(r: _Reading, at: int) -> int:
    """A "no", "not" or "without": of what, if of anything that can be a limit."""
    to, eats = at + 1, False
    while to < len(r.low):
        word, after = r.low[to], r.low[to + 1 : to + 2]
        if word in SOFT and after and after[0] in LIKING:
            to += 1  # "not too keen on"
        if r.low[to] not in FILL or _thing(r, to, 2) or OUT.match(r.ahead(to)):
            break
        eats |= word in EATS
        to += 1
    if to == len(r.low) or r.low[to] in STOPS | JOINTS:
        if MADE & set(r.low[at:to]) and not _doubted(r, at):  # "nothing fried"
            r.unkept.append(r.said(at, to))
            r.eased[at] = True
        return at + 1
    word = r.low[to]
    if not word[0].isalnum() and word not in ",.;:!?'\"()" and r.low[at] in BARE:  # "no 🥜"
        r.unread.append(r.said(at, to + 1))
        return to + 1
    if word in SOFT or word in EASE or r.low[at - 1 : at] == ["why"]:
        r.eased[at] = True
        if word in SOFT and r.low[to + 2 : to + 3] in (["or"], ["nor"]):  # "nothing too fishy or with peanuts"
            behind = _past(r, to + 3)
            if behind < len(r.low) and _food(r, behind):
                r.unread.append(r.said(at, behind + 1))
        return to + 1
    if word in NOT or SICK.fullmatch(word) or OUT.match(r.ahead(to)):  # "not allergic to", "don't skip"
        end = r.clause(to)[1]
        free = SICK.fullmatch(word) or word.startswith("avoid")
        if free and not any(_food(r, i) for i in range(to, end)):  # "no allergies", "nothing to avoid"
            last = max((i for i in range(to, end) if SICK.fullmatch(r.low[i])), default=to) + 1
            r.gone[at:last] = [True] * (last - at)
            return last
        if word in NOT and word not in BARE:
            return at + 1
        r.unread.append(r.said(at, min(end, to + 4)))
        r.eased[at] = True
        return end
    if _alone(r, to):  # "not vegan"
        r.unread.append(r.said(at, to + 1))
        r.eased[at] = True
        return to + 1
    if word == "spicy":
        end = _spicy(r, at, to)
        if r.low[end : end + 1] in (["or"], ["nor"]):  # what stands behind is denied as well
            if found := _things(r, at, _past(r, end + 1)):
                return found
            r.gone[at], r.gone[end], r.eased[at] = False, True, True  # "not sour" of "not spicy or sour"
        return end
    if _doubted(r, at) and _food_near(r, to):  # "can't live without cheese"
        r.unread.append(r.said(max(at - 3, 0), to + 1))
        return to + 1
    end = _things(r, at, to)
    if end:
        return end
    if (word.isalpha() and word not in STOP and (to == at + 1 or eats) and "to" not in r.low[at:to]
            and (eats or r.low[at] in BARE) and not _food_near(r, to)):  # fmt: skip
        r.unkept.append(r.said(at, to + 1))
        r.eased[at] = True
    return at + 1


def _past(r: _Reading, at: int) -> int:
    """The place behind what may stand between a word that tells of a limit and its thing."""
    while at < len(r.low) and r.low[at] in FILL and not _thing(r, at, 2):
        at += 1
    return at


def _spicy(r: _Reading, begin: int, at: int) -> int:
    """A "spicy" that is not wanted: heat is told by chilli. Returns the place behind."""
    end = at + 1 + (r.low[at + 1 : at + 2] in (["food"], ["dishes"], ["stuff"]))
    r.limits.append(_limit(["chilli"], r.said(begin, end)))
    r.gone[begin:end] = [True] * (end - begin)
    return end


def _behind(r: _Reading, begin: int, at: int, sick: bool = False) -> int:
    """An "avoid" or "allergic to", with its things behind it."""
    at = _past(r, at)
    if _doubted(r, begin):
        near_ = _food_near(r, begin)
        if near_:
            r.unread.append(r.said(max(begin - 3, 0), at + 1))
            return at + 1
    return _things(r, begin, at, sick) or begin + 1


def _before(r: _Reading, at: int) -> int | None:
    """A thing that is a limit alone ("vegan") or by what is behind it ("tree nut allergy", "dairy and egg free")."""
    alone = _alone(r, at)
    if alone:
        end = at + alone
        if r.ahead(end).startswith("free"):
            end += 1
        if _doubted(r, at):
            r.unread.append(r.said(max(at - 3, 0), end))
            return end
        limit = _limit(r.low[at:end], r.said(at, end))
        r.limits.append(limit)
        if limit.partly:
            r.unkept.append(limit.name)
        r.gone[at:end] = [True] * (end - at)
        return end
    spans = _list_at(r, at)
    if not spans:
        return None
    after = AFTER.match(r.ahead(spans[-1][1]))
    if not after:
        return spans[0][1]
    joints = [r.low[a[1] : b[0]] for a, b in zip(spans, spans[1:], strict=False)]
    first = len(spans) - 1
    if joints and any(j in JOINTS - {","} for j in joints[-1]):  # "nut, egg and dairy free", "soup, nut free"
        first = 0
    begin, end = spans[first][0], spans[-1][1] + len(after[0].split())
    if _doubted(r, begin):
        r.unread.append(r.said(max(begin - 3, 0), end))
        return end
    r.limits.extend(_limit(r.low[a:b], r.said(a, end)) for a, b in spans[first:])
    r.gone[begin:end] = [True] * (end - begin)
    return end


def _list_at(r: _Reading, at: int) -> list[tuple[int, int]]:
    """Where the things of a list lie that begins at a token: "nut, egg and dairy"."""
    spans: list[tuple[int, int]] = []
    while size := _thing(r, at):
        spans.append((at, at + size))
        at += size
        while at < len(r.low) and r.low[at] in (*JOINTS, "any", "the"):
            at += 1
    return spans


def _things(r: _Reading, begin: int, at: int, sick: bool = False) -> int | None:
    """Read the things of a "no ..." from `at` on, which begins at `begin`; the place behind, None for none."""
    end, joint = None, ""
    while at < len(r.low):
        while at < len(r.low) and r.low[at] in SKIPPED:
            at += 1
        if at == len(r.low):
            break
        size = _thing(r, at) or (len(r.low[at]) > 3 and joint != "," and r.low[at].isalpha() and _corrected(r, at))
        if not size:
            if joint in ("or", "nor") and r.low[at] == "spicy" and not sick:
                return _spicy(r, begin, at)
            if joint in ("or", "nor") or (sick and joint == "and"):
                _unknown(r, begin, at, sick)
            break
        if joint == "," and not sick and not _goes_on(r, at, size):
            break
        r.limits.append(_limit(r.low[at : at + size], r.said(begin, at + size)))
        at = end = at + size
        aux = begin > 0 and r.low[begin] == "not" and r.low[begin - 1] in AUX
        r.gone[begin - aux : end] = [True] * (end - begin + aux)
        joint = r.low[at] if at < len(r.low) else ""
        if joint == "," and at + 1 < len(r.low) and r.low[at + 1] in ("or", "nor", "and"):
            at, joint = at + 1, r.low[at + 1]
        if joint not in JOINTS:
            break
        at += 1
    return end


def _unknown(r: _Reading, begin: int, at: int, sick: bool) -> None:
    """One of a list of things that nothing here knows: asked about where it is an allergy, else said not to be kept."""
    if r.low[at].isalpha() and r.low[at] not in STOP | FILL | WANTS:
        (r.unread if sick else r.unkept).append(r.said(at, at + 1) if sick else f"no {r.tokens[at]}")


def _corrected(r: _Reading, at: int) -> int:
    name = near(r.low[at], r.known)
    if name:
        r.low[at] = name
    return int(bool(name))


def _goes_on(r: _Reading, at: int, size: int) -> bool:
    """Whether a thing behind a comma is one more of the list, and not what is wanted ("no pork, beef stew")."""
    joint = ","
    while joint == "," and size:
        at += size
        if _thing(r, at):
            return False
        joint = r.low[at] if at < len(r.low) else ""
        group = _group(r.low[at - size : at])
        if joint in ("or", "nor", "and"):
            return True
        at += 1
        size = _thing(r, at)
    return bool(group) and group.name not in DISHES


def _thing(r: _Reading, at: int, least: int = 1) -> int:
    """How many words from `at` on name something that is eaten; 0 for none."""
    for size in (3, 2, 1):
        low = r.low[at : at + size]
        if size >= least and len(low) == size and all(w[0].isalpha() and w not in SKIPPED for w in low):
            said = phrase(" ".join(low))
            if not {*low} & (NOT | JOINTS | STOP) and (said in named() or r.known(said)):
                return 0 if _alone(r, at) else size
    return 0


def _food(r: _Reading, at: int) -> bool:
    return not r.gone[at] and bool(_thing(r, at) or _alone(r, at))


def _food_near(r: _Reading, at: int) -> bool:
    return any(_food(r, i) for i in range(at, min(at + NEAR, r.clause(at)[1])))


def _alone(r: _Reading, at: int) -> int:
    """How many words from `at` on are a limit by themselves: a diet, "coeliac", "halal"."""
    for size in (2, 1):
        low = r.low[at : at + size]
        group = _group(low) if len(low) == size else None
        if group and (group.diets or group.partly or low[0] in ALONE):
            return size
    return 0


def _doubted(r: _Reading, at: int) -> bool:
    """Whether a denial stands open before a token: "not only vegan", "can't live without"."""
    for i in range(at - 1, max(at - 5, r.clause(at)[0]) - 1, -1):
        if r.low[i] in JOINTS:
            return False
        if r.low[i] in NOT and not r.gone[i]:
            return True
    return False


def _pass_over_nothing(r: _Reading) -> None:
    """What sounds like a limit on what is in an item and was not read as one: said, never passed over."""
    left = " ".join(t for t, out in zip(r.tokens, r.gone, strict=True) if not out)
    r.unread += [left] if DENIED_HAN.search(left) else []
    for at, word in enumerate(r.low):
        if r.gone[at]:
            continue
        begin, end = r.clause(at)
        alarm = ALARM.match(r.ahead(at, 3))
        if alarm and alarm.end() == len(" ".join(r.low[at : at + len(alarm[0].split())])):
            strict = SICK.match(word) or "allerg" in word
            around = r.gone[begin : r.clause(end)[1] if end < len(r.low) else end]
            if not any(around) and (strict or not r.limits):
                r.unread.append(r.said(begin, end))
        denies = word in NOT and not r.eased[at]
        if denies or OUT.match(r.ahead(at)):
            subject = denies and at > 1 and r.low[at - 1] in AUX and _food(r, at - 2)
            if subject or _food_near(r, at + 1):
                r.unread.append(r.said(at, min(at + NEAR, end)))


def _group(what: Sequence[str]) -> Limit | None:
    return groups().get(phrase(" ".join(what)))


def _limit(what: Sequence[str], said: str) -> Limit:
    """ "without" what some words name: their group, or they themselves and the groups of their words ("pork belly")."""
    found = _group(what)
    if found:
        return replace(found, said=said)
    own = phrase(" ".join(what))
    parts = [g for g in map(groups().get, own.split()) if g and not g.diets and own not in g.but]
    name = parts[0].name if parts else " ".join(what)
    return together(name, said, parts, {own})


def _joined(tokens: list[str], gone: list[bool]) -> str:
    """What is left, without the punctuation and the joints that stood between limits."""
    kept = [(t, g) for t, g in zip(tokens, gone, strict=True)]
    words_, last = [], True
    for i, (token, out) in enumerate(kept):
        joint = not token[0].isalnum() or token.lower() in ("and", "or", "but", "with")
        beside = (i and kept[i - 1][1]) or (i + 1 < len(kept) and kept[i + 1][1])
        if out or (joint and (last or beside)):
            last = last or out
            if out or not words_:
                continue
            if token in ",.;" and words_[-1][-1].isalnum() and not beside:
                words_.append(token)
            continue
        words_.append(token)
        last = False
    text = re.sub(r"\s+([^\w\s])", r"\1", " ".join(words_))
    text = re.sub(r"^(?:and|or|but|,|;)\s+|\s+(?:and|or|but|with|a|an|am|has|have|i|can)$", "", text, flags=re.I)
    return text.strip(" ,;.")

"""The limits that a request in English states: "no pork, under 30 minutes, nut allergy"; what is left is the wish.

Other languages are turned into English by the recipe's words (`request.py`).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tokenrec.serve.limits import Limit, groups, phrase

HOURS = {"hour": 60, "hours": 60, "hr": 60, "hrs": 60, "h": 60}
MINUTES = {"minute", "minutes", "min", "mins", *HOURS}
_MOST = re.compile(
    r"\b(?:(?:in|within|for)\s+)?(?:under|below|less than|fewer than|no more than|not more than|at most|up to|within|"
    r"max(?:imum)?(?: of)?|in)\s+(?:[$€£]\s*)?(\d+(?:\.\d+)?|half an|an|one)\s*([a-z$€£]+)?(?:\s+or less)?",
    re.I)  # fmt: skip
_OR_LESS = re.compile(r"\b(\d+(?:\.\d+)?)\s*([a-z]+)\s+(?:or less|or fewer|or under|max(?:imum)?|tops)\b", re.I)
_LEAST = re.compile(r"(?<!no )(?<!not )\b(?:at least|more than|over|minimum(?: of)?)\s+\d+(?:\.\d+)?\s*[a-z]+", re.I)
_ONES = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
         "eleven": 11, "twelve": 12}  # fmt: skip
_TENS = {"fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fourty": 40, "fifty": 50, "sixty": 60, "ninety": 90}
_UNIT = r"(?=[\s-]+(?:minutes?|mins?|hours?|hrs?)\b)"
_PLAIN = [  # other ways to say the same, turned into the ways that are read
    (r"\b(?:(?:one|an|1) hour and a half|(?:one|1) and a half hours?)\b", "90 minutes"),
    (r"\b(?:a )?quarter of an hour\b", "15 minutes"), (r"\bhalf[ -]hour\b", "half an hour"),
    (rf"\b({'|'.join(_TENS)})[ -]({'|'.join(list(_ONES)[:9])})\b{_UNIT}",
     lambda m: str(_TENS[m[1].lower()] + _ONES[m[2].lower()])),
    (rf"\b({'|'.join([*_TENS, *_ONES])})\b{_UNIT}", lambda m: str((_TENS | _ONES)[m[1].lower()])),
    (r"(?:<=|<|≤|≦)\s*(?=\d)", " under "), (r"\b(\d+)-(minutes?|mins?|hours?)\b(?!\s+or)", r"\1 \2 or less"),
    (r"(?<=\w)\s*/\s*(?=[^\W\d])", " or "), (r"\bnon[ -](?=[a-z])", "no "),
    (r"\b(?:food )?(?:allerg(?:y|ies|ens?)|intolerances?)\s*:\s*", "allergic to "),
    (r"\b(egg|nut|meat|dairy|gluten|wheat|milk)less\b", r"no \1, "),
]  # fmt: skip
_UNREAD = re.compile(r"[^,.;]*\b(?:\w*allerg\w*|\w*intoleran\w*|anaphyla\w*)[^,.;]*", re.I)
_DENIED = {"no", "not", "non", "without", "never", "nothing", "free", "neither", "nor", "can't", "cannot", "don't",
           "doesn't", "won't", "mustn't", "avoid", "avoids"}  # fmt: skip
_DENIED_HAN = re.compile("[不无無沒没别別忌戒免]|过敏|過敏|耐受")  # left in a request that a dictionary turned
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]")
_BEGIN = sorted(
    [t.split() for t in (
        "no", "without", "without any", "free of", "free from", "avoid", "avoiding", "skip", "skipping", "hold the",
        "do not eat", "don't eat", "doesn't eat", "can't eat", "cannot eat", "can't have", "cannot have", "don't like",
        "doesn't like", "don't want", "won't eat", "must not contain", "anything but", "allergic to", "allergy to",
        "allergies to", "intolerant to", "intolerant of", "intolerance to", "hate", "hates", "not", "nothing with",
        "anything with no", "leave out", "leave out the", "exclude", "excluding", "except", "minus", "sans",
        "can't stand", "can't do", "cannot do", "anaphylactic to", "not containing", "that does not contain",
        "that doesn't contain",
    )],
    key=len, reverse=True,
)  # fmt: skip
_SICK = ("anaphylactic", "allergic", "allergy", "allergies", "intolerant", "intolerance")
_SKIPPED = {"a", "an", "any", "the", "my", "of", "all", "severe", "bad", "and", "or"}


@dataclass(frozen=True)
class Parsed:
    """A request, its limits, and what is left to look for.

    `unkept`: limits that no fact can keep. `unread`: what sounds like a limit and could not be read as one.
    """

    limits: list[Limit]
    rest: str
    unkept: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


PROMISES = ("halal", "kosher", "diabetic", "keto", "organic")  # no list of ingredients tells


def parse(request: str, numbers: Iterable[str], known: Callable[[str], bool]) -> Parsed:
    """The limits of a request in English and what is left of it.

    `numbers` are the record's number fields; `known` says whether a `phrase` is among the words that say what items
    are made of. A "no ..." of something that is neither known nor a group ("no fuss") is left in the request.
    """
    limits, unkept = [], []
    for said, plain in _PLAIN:
        request = re.sub(said, plain, request, flags=re.I)
    unkept.extend(m[0].strip() for m in _LEAST.finditer(request))

    def number(match: re.Match) -> str:
        limit = _at_most(match, list(numbers))
        if limit:
            limits.append(limit)
            return " "
        if (match[2] or "").lower() in MINUTES or re.search("[$€£]", match[0]):
            unkept.append(match[0].strip())
            return " "
        return match[0]

    rest = _OR_LESS.sub(number, _MOST.sub(number, request))
    tokens = [m[0].replace("’", "'") for m in _TOKEN.finditer(rest)]
    gone = [False] * len(tokens)  # what is read as a limit, and no wish
    at = 0
    while at < len(tokens):
        at = _read(tokens, gone, at, limits, unkept, known)
    rest = _joined(tokens, gone)
    seen: dict[tuple, Limit] = {}
    for limit in limits:
        seen.setdefault((limit.kind, limit.name, limit.most), limit)
    return Parsed(list(seen.values()), rest, unkept, _unread(tokens, gone))


def _unread(tokens: list[str], gone: list[bool]) -> list[str]:
    """What sounds like a limit on what is in an item and was not read as one: said, never passed over."""
    left = " ".join(t for t, out in zip(tokens, gone, strict=True) if not out)
    found = [m[0].strip() for m in _UNREAD.finditer(left)]
    found += [left] if _DENIED_HAN.search(left) else []
    for at, token in enumerate(tokens):
        if token.lower() in _DENIED and not gone[at]:
            for end in range(at + 2, min(at + 5, len(tokens) + 1)):
                if not any(gone[at:end]) and _group([tokens[end - 1].lower()]):
                    found.append(" ".join(tokens[at:end]))
                    break
    return found


def _listed(tokens: list[str], at: int, known) -> bool:
    """Whether things that are known follow from `at` on up to an "or": "no mushrooms, onions or garlic"."""
    joint = ","
    while joint == ",":
        size = next((n for n in (2, 1) if _thing(tokens[at : at + n], n, known)), 0)
        if not size:
            return False
        at += size
        joint = tokens[at].lower() if at < len(tokens) else ""
        at += 1
        if joint == "," and at < len(tokens) and tokens[at].lower() in ("or", "nor"):
            joint = "or"
            at += 1
    return joint in ("or", "nor") and (_thing(tokens[at : at + 1], 1, known) or _thing(tokens[at : at + 2], 2, known))


def _thing(what: list[str], size: int, known) -> bool:
    low = [w.lower() for w in what]
    whole = len(low) == size and all(w[0].isalpha() and w not in _SKIPPED for w in low)
    return whole and bool(_group(low) or known(phrase(" ".join(low))))


def _at_most(match: re.Match, numbers: list[str]) -> Limit | None:
    value = {"half an": 0.5, "an": 1.0, "one": 1.0}.get(match[1].lower()) or float(match[1])
    unit = (match[2] or "").lower()
    name = next((n for n in numbers if n.lower() in (unit, f"{unit}s", unit.removesuffix("s"))), None)
    if unit in MINUTES:
        name = name or next((n for n in numbers if n.lower().startswith(("minute", "time"))), None)
        value *= HOURS.get(unit, 1)
    if re.search("[$€£]", match[0]):
        name = next((n for n in numbers if n.lower() in ("price", "cost")), None)
    return Limit("at_most", name, match[0].strip(), most=value) if name else None


def _read(tokens: list[str], gone: list[bool], at: int, limits: list, unkept: list, known) -> int:
    """Read what begins at one token; returns where to go on."""
    low = [t.lower() for t in tokens[at : at + 5]]
    if low[0] in PROMISES:
        unkept.append(low[0])
        gone[at] = True
        return at + 1
    begin = next((b for b in _BEGIN if low[: len(b)] == b), None)
    if begin:
        end = _terms(tokens, gone, at, at + len(begin), begin[0] in _SICK, limits, known)
        return end or at + len(begin)
    for long in (2, 1):  # "tree nut allergy", "gluten-free", "vegan"
        what, after = low[:long], low[long : long + 2]
        free = after[:1] == ["free"] or after == ["-", "free"]
        sick = after[:1] and after[0] in _SICK and low[long + 1 : long + 2] != ["to"]
        diet = _group(what) and (_group(what).diets or low[0] in ("coeliac", "celiac"))
        word = long == 1 and low[0].isalpha() and low[0] not in _SKIPPED
        told = _thing(what, long, known) or (sick and word)
        if len(what) == long and (free or sick or diet) and told:
            end = at + long + (after.index("free") + 1 if free else 1 if sick else 0)
            limits.append(_limit(what, " ".join(tokens[at:end])))
            gone[at:end] = [True] * (end - at)
            return end
        if len(what) == long and _group(what) and after[:1] in (["and"], ["or"], [","]):  # nut and egg allergy
            chain = at + long + 1
            for more in (2, 1):
                rest = [t.lower() for t in tokens[chain : chain + more + 1]]
                if len(rest) == more + 1 and _group(rest[:more]) and rest[more] in _SICK:
                    limits.append(_limit(what, " ".join(tokens[at : at + long])))
                    gone[at:chain] = [True] * (chain - at)
                    return chain
    return at + 1


def _terms(tokens: list[str], gone: list[bool], begin: int, at: int, sick: bool, limits: list, known) -> int | None:
    """Read the things of a "no ..." from `at` on, which begins at `begin`; the place behind, None for none."""
    first, end, joint, listed = True, None, "", False
    while at < len(tokens):
        while at < len(tokens) and tokens[at].lower() in _SKIPPED:
            at += 1
        found = None
        for long in (2, 1):
            if _thing(tokens[at : at + long], long, known):
                found = long
                break
        after = tokens[at + 1 : at + 2]
        if found == 1 and not _group([tokens[at].lower()]) and after and _group([after[0].lower()]):
            at += 1  # "no raw fish": without fish
        named = at < len(tokens) and tokens[at][0].isalpha()
        if found is None and named and (sick if first else joint in ("or", "nor")):
            found = 1  # unknown to this catalogue, and said not to be wanted: never a wish
        if joint == "," and found and not listed:
            listed = sick or _listed(tokens, at, known)
        if found is None or (joint == "," and not listed and not _group([t.lower() for t in tokens[at : at + found]])):
            break
        limits.append(_limit([t.lower() for t in tokens[at : at + found]], " ".join(tokens[begin : at + found])))
        at = end = at + found
        gone[begin:end] = [True] * (end - begin)
        first, joint = False, tokens[at].lower() if at < len(tokens) else ""
        if joint == "," and at + 1 < len(tokens) and tokens[at + 1].lower() in ("or", "nor", "and"):
            at, joint = at + 1, tokens[at + 1].lower()
        if joint not in (",", "or", "nor", "and"):
            break
        at += 1
    return end


def _group(what: Sequence[str]) -> Limit | None:
    return groups().get(phrase(" ".join(what)))


def _limit(what: Sequence[str], said: str) -> Limit:
    found = _group(what)
    if found:
        return Limit("without", found.name, said, None, found.terms, found.but, found.diets)
    return Limit("without", " ".join(what), said, None, frozenset({phrase(" ".join(what))}))


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
    text = re.sub(r"^(?:and|or|but|,|;)\s+|\s+(?:and|or|but|with|a|an|am|has|have|i)$", "", text, flags=re.I)
    return text.strip(" ,;.")

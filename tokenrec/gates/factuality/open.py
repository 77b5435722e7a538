"""Open grounding: world knowledge is wanted, so a claim is *supported*, *contradicted* or *unverifiable*.

What contradicts: the item's own record (its year, its maker, a category of the catalogue, a count), or further answers
of the same model (agreement.py). What supports: the record, or further answers. All else is unverifiable, which is
neither a hallucination nor a proof of one.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ..base import Finding
from ..noise.refusal import refusal
from ..text import clip, stem, stems_in, strings, tokens, words
from .agreement import CONTRADICTED, UNVERIFIABLE, Stated, agreement
from .catalogue import Terms
from .claims import claims, content, is_year
from .names import contradicted
from .quantities import quantities, record_quantities

RECORD, AGREEMENT, UNSURE = "factuality/record", "factuality/agreement", "factuality/unverifiable"
UNKNOWN = "unknown"  # neither noise nor hallucination: the model says so; or no value is left of what it said
UNSURE_GONE, CONTRADICTED_GONE = "unknown/unverifiable", "unknown/contradicted"

_UNKNOWN = re.compile(
    r"""[\s"'“”‘’(\[]*(?:(?:it\s(?:is|['’]s)\s|this\sis\s|genre\s|author\s|the\s\w+\sis\s)?
    (?:unknown|un[- ]?specified|not\s(?:known|sure|certain|applicable)|none\sknown|n/?a|i\s(?:do\snot|don['’]?t)\sknow
    (?:\s(?:it|this|that|of\s(?:it|this)))?|no\s(?:information|idea)(?:\s(?:is\s)?(?:available|known|found))?|\?+|-+|—)
    |不知道|未知|不详|不清楚|不确定|我不知道|没有(?:相关)?(?:信息|资料)|わからない|不明)?[\s"'“”‘’)\].!。！]*""",
    re.IGNORECASE | re.VERBOSE,
)

# What a record's field and the words of a text have to do with each other.
_ROLES = {
    "author": ("author writer novelist 作者", "written authored penned novel book memoir story poem 所著 撰写 编写"),
    "director": ("director 导演", "directed film movie 导演 执导"),
    "artist": ("artist singer band performer musician 歌手", "performed recorded sung song album track single 演唱"),
    "composer": ("composer artist 作曲", "composed"),
    "publisher": ("publisher label 出版社", "published 出版"),
    "maker": ("maker brand manufacturer vendor 品牌", "made manufactured 制作"),
    "creator": ("creator designer developer", "designed developed"),
}
_FIELDS = {field: role for role, (fields, _) in _ROLES.items() for field in fields.split()}
_CUES = {cue: role for role, (_, cues) in _ROLES.items() for cue in cues.split()}
_BY = re.compile(rf"\b({'|'.join(c for c in _CUES if c.isascii())})\s+by\s+(?:the\s+)?(?=[^\W\d_])", re.IGNORECASE)
_YEARS = {  # a record's field: how a text speaks of that year
    "release": ("year date released release published publication issued 年份 出版年",
                "relea publi issue debut premi album film novel book movie recor 出版 发行 上映 发表 首播"),
    "founding": ("founded formed established since 成立", "found forme estab start began 成立 创立 建立"),
    "birth": ("born birth birthday 出生", "born 出生"),
}  # fmt: skip
_YEAR_FIELDS = {field: kind for kind, (fields, _) in _YEARS.items() for field in fields.split()}
_YEAR_CUES = {cue: kind for kind, (_, cues) in _YEARS.items() for cue in cues.split()}


def is_unknown(text: str) -> bool:
    """Whether an answer says that it does not know: empty, "unknown", "I don't know", 未知, or a refusal."""
    return bool(_UNKNOWN.fullmatch(text)) or not refusal(text).passed


def refuted(text: str, record: Mapping[str, Any], terms: Terms, name: str = "") -> tuple[str, str] | None:
    """(reason, quote) of the first claim that the record contradicts; None where there is none.

    Years and makers in a field of that name, counts under their word ("12 tracks"), categories of the catalogue, and
    "dairy-free" of what has butter. What the record says nothing of is not contradicted.
    """
    return _year(text, record, name) or _maker(text, record) or _count(text, record) or _category(
        text, record, terms, name
    )


def _fields(record: Mapping[str, Any], known: Mapping[str, str]):
    """(kind, field, value) of the fields whose name, or a word of it, says what they are."""
    for field, value in record.items():
        parts = [str(field).lower(), *re.split(r"[^a-z\u4e00-\u9fff]+", str(field).lower())]
        parts += [p.removesuffix("s") for p in parts]
        if (kind := next((known[p] for p in parts if p in known), None)) and value not in (None, "", []):
            yield kind, field, value


def _year(text: str, record: Mapping[str, Any], name: str) -> tuple[str, str] | None:
    own: dict[str, tuple[str, set[float]]] = {}
    for kind, field, value in _fields(record, _YEAR_FIELDS):
        years = {q.bare for v in strings(value) for q in quantities(v) if is_year(q)}
        if years:
            own[kind] = field, own.get(kind, ("", set()))[1] | years
    if not own:
        return None
    told = {q.bare for v in strings(dict(record)) for q in quantities(v)}
    for claim in claims(text, name):
        for slot in claim.slots:
            kind = _YEAR_CUES.get(slot.key[-1]) if slot.key[0] == "year" else None
            if kind in own and slot.value not in told:
                field, years = own[kind]
                return f"the record's {field} is {min(years):g}", clip(text[slot.start : slot.end].strip())
    return None


def _maker(text: str, record: Mapping[str, Any]) -> tuple[str, str] | None:
    own: dict[str, list[tuple[str, Any]]] = {}
    for role, field, value in _fields(record, _FIELDS):
        own.setdefault(role, []).append((field, value))
        if field.lower() in ("artist", "artists"):  # also who composed it
            own.setdefault("composer", []).append((field, value))
    if not own:
        return None
    known = stems_in(tuple(strings(dict(record))))
    for m in _BY.finditer(text):
        if (role := _CUES[m[1].lower()]) not in own:
            continue
        named = []
        for word, start, end in tokens(text[m.end() : m.end() + 60]):
            if not text[m.end() + start].isupper():
                break
            named.append((stem(word), m.end() + end))
        if named and not any(w in known for w, _ in named):
            return _says(own[role]), clip(text[m.start() : named[-1][1]])
    for claim in claims(text):
        for slot in claim.slots:
            role = _CUES.get(slot.key[-1]) if slot.key[0] == "name" and len(slot.key) == 2 else None
            if role in own and not any(v in s or s in v for v in slot.value for _, o in own[role] for s in strings(o)):
                return _says(own[role]), clip(text[slot.start : slot.end])
    return None


def _says(own: list[tuple[str, Any]]) -> str:
    return f"the record's {own[0][0]} is {', '.join(strings(own[0][1]))[:80]}"


def _count(text: str, record: Mapping[str, Any]) -> tuple[str, str] | None:
    numbers, lengths = record_quantities(record)
    for claim in claims(text):
        for slot in claim.slots:
            if slot.key[0] != "count":
                continue
            own = {q.bare for q in numbers if q.key == slot.key[1]} | set(map(float, lengths.get(slot.key[1], ())))
            told = {q.bare for q in numbers} | set(map(float, lengths.get(slot.key[1], ())))
            some = re.search(r"\b(?:first|last|other|of the)\s*$", text[: slot.start])
            if own and slot.value not in told and not some:
                return f"the record's {slot.key[1]} count is {min(own):g}", clip(text[slot.start : slot.end].strip())
    return None


def _category(text: str, record: Mapping[str, Any], terms: Terms, name: str) -> tuple[str, str] | None:
    """Another value of the catalogue, in a text that says the record's own nowhere; or something denied that it has."""
    found = contradicted(text, record, terms, name)
    if found.passed or found.reason.startswith("no "):  # of what the record does not have, a world may have some
        return None
    if found.reason.startswith("the record's "):
        field = found.reason.removeprefix("the record's ").partition(" is ")[0]
        own = {stem(w) for w in words(str(record.get(field, "")))}
        if own and own & {stem(w) for w in words(text)}:
            return None
    return found.reason, found.quote


def stated(text: str, record: Mapping[str, Any], others: Sequence[str], name: str = "") -> list[Stated]:
    """The verdict on every sentence that says something, by the record's words and further answers."""
    return agreement(text, others, name, _known(tuple(strings(dict(record))), name))


@lru_cache(maxsize=64)
def _known(told: tuple[str, ...], name: str) -> frozenset[str]:
    """What a record vouches for: its stems, and its numbers as the text would have them."""
    return stems_in(told) | frozenset(w for t in told for w in content(t))


def by_record(text: str, record: Mapping[str, Any], terms: Terms, name: str = "") -> Finding:
    """Fails where the record contradicts a claim; quotes both."""
    wrong = refuted(text, record, terms, name)
    return Finding(RECORD, False, 1.0, *wrong) if wrong else Finding(RECORD, True)


def by_agreement(text: str, record: Mapping[str, Any], others: Sequence[str], name: str = "") -> Finding:
    """Fails where further answers contradict a claim; quotes both. Score: the mean share of a claim that is new."""
    if not others:
        return Finding(AGREEMENT, True)
    found = stated(text, record, others, name)
    if wrong := next((c for c in found if c.verdict == CONTRADICTED), None):
        return Finding(AGREEMENT, False, 1.0, wrong.reason, clip(wrong.quote))
    mean = sum(c.score for c in found) / len(found) if found else 0.0
    return Finding(AGREEMENT, True, round(mean, 4), "", "", parts=tuple((c.start, c.end, c.score) for c in found))


def unverifiable(
    text: str, record: Mapping[str, Any], others: Sequence[str], name: str = "", reject: bool = False
) -> Finding:
    """Score: the share of claims that nothing supports or contradicts; its parts are those sentences. A soft finding,
    but for `reject`, where any such claim fails the text."""
    found = stated(text, record, others, name)
    unsure = [c for c in found if c.verdict == UNVERIFIABLE]
    score = round(len(unsure) / len(found), 4) if found else 0.0
    if not unsure:
        return Finding(UNSURE, True, score)
    first = max(unsure, key=lambda c: c.score)
    by = "neither the record nor further answers bear it out" if others else "the record does not bear it out"
    parts = tuple((c.start, c.end, c.score) for c in unsure)
    return Finding(UNSURE, not reject, score, by, clip(text[first.start : first.end]), parts=parts)

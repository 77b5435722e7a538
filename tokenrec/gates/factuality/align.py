"""One sentence against a record: features from which a trained detector tells how likely a claim in it is unsupported.

Coverage (words, names, pairs of words), alignment with single facts, numbers (anywhere, under their key, in the rows
of their dates, as ends of a range, as extremes), dates, trends, denial, contests (sides.py) and wording. No word of
a domain is needed; the cost is linear in text and record, both cut at a bound. Nothing here raises on odd input.
"""

import math
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from ..text import STOP, places, stem, tokens
from .dates import Date, clocks, dates, meets, ordinal, weekday_of, weekdays
from .facts import Facts, Number, numbers_in
from .sides import Sides
from .wording import ABOVE, BELOW, DENY, DOWN, GROUPS, HIGH, LOW, RANGE, STEADY, UP

MOST_SENTENCES, MOST_LENGTH, MOST_NUMBERS = 200, 2000, 24
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_WORD_NUMBERS = {w: i for i, w in enumerate(_WORDS)}
NAN = math.nan


@dataclass
class Context:
    """What the sentences before have set: the dates last named, the words said."""

    scope: set[int] = field(default_factory=set)
    said: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Unit:
    """A sentence of the text with its place and features (name -> float; nan where there is nothing to measure)."""

    start: int
    end: int
    features: dict[str, float]


def units(text: str, record: Any, facts: Facts | None = None) -> list[Unit]:
    """The sentences of `text` with their features against `record` (any nesting of mappings, lists and scalars)."""
    facts = facts or Facts(record)
    sides, context = Sides(facts), Context()
    found = []
    parts = places(text)[:MOST_SENTENCES]
    for i, (start, end) in enumerate(parts):
        sentence = text[start:end][:MOST_LENGTH]
        got = sentence_features(sentence, facts, context)
        got |= sides.features(sentence)
        got |= {"place": i / max(len(parts) - 1, 1), "first": i == 0, "last": i == len(parts) - 1, "of": len(parts)}
        found.append(Unit(start, end, {name: float(value) for name, value in got.items()}))
    return found


def sentence_features(sentence: str, facts: Facts, context: Context) -> dict[str, float]:
    """Features of one sentence; `context` is read, then moved on."""
    seq = tokens(sentence)
    stems = [stem(t[0]) for t in seq]
    said = dates(sentence)
    scope = _rows(said, facts)
    bare = [t for t in seq if not any(d.start < t[2] and t[1] < d.end for d in said)]  # dates are held to the rows
    got = _coverage(sentence, bare, [stem(t[0]) for t in bare], facts, context)
    got |= _dates(sentence, said, facts)
    got |= _numbers(sentence, said, scope, facts, context)
    got |= _trend(sentence, scope or context.scope, said, facts)
    here = scope or context.scope
    if here and len(here) < facts.n:
        rows = set().union(*(facts.sets[i] for i in here))
        series = [s for s in stems if s in facts.df and s not in STOP and 1 < facts.df[s] < 0.9 * facts.n]
        got["scope_words"] = sum(s in rows for s in series) / len(series) if series else NAN
    else:
        got["scope_words"] = NAN
    for name, group in GROUPS.items():
        got[f"w_{name}"] = len(group.findall(sentence))
    context.said |= set(stems)
    if scope:
        context.scope = scope
    return got


def _share(hits: list[bool], empty: float = NAN) -> float:
    return sum(hits) / len(hits) if hits else empty


def _coverage(sentence: str, seq: list, stems: list[str], facts: Facts, context: Context) -> dict[str, float]:
    content = [(s, sentence[t[1] : t[2]]) for s, t in zip(stems, seq) if t[0] not in STOP and not t[0][0].isdigit()]
    known = [facts.has(s) for s, _ in content]
    names = [k for (_, shown), k in zip(content, known) if shown[0].isupper() and not sentence.startswith(shown)]
    run = longest = 0
    for k in known:
        run = 0 if k else run + 1
        longest = max(longest, run)
    mine = {s for s, _ in content}
    hits: dict[int, list[str]] = {}
    for word in sorted(mine):  # in a fixed order, so that ties fall the same way each time
        for i in facts.at.get(word, ()):
            hits.setdefault(i, []).append(word)
    ranked = sorted(hits.items(), key=lambda h: (-sum(map(facts.idf, h[1])), h[0]))[:5]
    total = sum(facts.idf(w) if w in facts.df else math.log(1 + facts.n) for w in sorted(mine)) or 1.0
    three = {w for _, found in ranked[:3] for w in found}
    low = sentence.lower()
    grams = [low[i : i + 3] in facts.trigrams for i in range(len(low) - 2)]
    denied, negated = mine & facts.denied, bool(DENY.search(sentence))
    return {
        "words": len(seq),
        "content": len(content),
        "covered": _share(known, 1.0),
        "exact": _share([s in facts.df for s, _ in content], 1.0),
        "uncovered": len(known) - sum(known),
        "longest": longest,
        "names": len(names),
        "names_known": _share(names),
        "unknown_names": len(names) - sum(names),
        "trigrams": _share(grams, 1.0),
        "pairs": _share([p in facts.pairs for p in zip(stems, stems[1:])]),
        "best": sum(map(facts.idf, ranked[0][1])) / total if ranked else 0.0,
        "best3": len(three) / len(mine) if mine else 1.0,
        "fact_covered": max((len(f) / len(facts.sets[i]) for i, f in ranked), default=0.0),
        "aligned": sum(len(f) >= 2 for f in hits.values()),
        "facts": math.log1p(facts.n),
        "repeats": len(mine & context.said) / len(mine) if mine else 0.0,
        "denied": 0 if negated else len(denied),
        "denied_rightly": len(denied) if negated else 0,
        "denied_wrongly": len(mine & facts.df.keys() - facts.denied) if negated and not denied else 0,
    }


def _rows(said: list[Date], facts: Facts) -> set[int]:
    """The facts that the named dates select; none when a date selects nearly all."""
    rows: set[int] = set()
    for d in said[:8]:
        rows.update(i for known, at in facts.dates.items() if meets(d.known, known) for i in at)
    return rows if len(rows) < 0.9 * facts.n else set()


def _dates(sentence: str, said: list[Date], facts: Facts) -> dict[str, float]:
    got: dict[str, float] = {"dates": len(said), "dates_unknown": NAN, "from_gap": NAN, "until_gap": NAN}
    days = weekdays(sentence)
    wrong = 0
    if facts.order:
        got["dates_unknown"] = sum(not any(meets(d.known, k) for k in facts.order) for d in said[:8])
        first, last = ordinal(facts.order[0]), ordinal(facts.order[-1], late=True)
        full = [d if d.year else d._replace(year=facts.order[0][0]) for d in said]
        if len(full) >= 2:
            got["from_gap"] = abs(ordinal(full[0].known) - first) / max(last - first, 1)
            got["until_gap"] = abs(ordinal(full[-1].known, late=True) - last) / max(last - first, 1)
        for day, at in days[:8]:
            near = min(full, key=lambda d: abs(d.start - at), default=None)
            wrong += near is None or weekday_of(near.known) != day
    times = clocks(sentence)
    return got | {
        "weekdays": len(days),
        "weekdays_wrong": wrong,
        "weekdays_new": sum(d not in facts.flat for d, _ in [(sentence[at : at + 6].lower(), 0) for _, at in days]),
        "clocks_wrong": sum(t not in facts.clocks for t in times),
    }


def _fits(key: tuple[str, ...], around: set[str]) -> float:
    """Share of a number's key words said around it; words that begin alike count ("temp", "temperature")."""
    return sum(w[:4] in around for w in key) / len(key) if key else 0.0


def _numbers(sentence: str, said: list[Date], scope: set[int], facts: Facts, context: Context) -> dict[str, float]:
    claims = list(numbers_in(sentence, said))[:MOST_NUMBERS]
    fits, keyed, wanted_ok, in_scope, in_context, high, low, bounds, share = [], [], [], [], [], [], [], [], []
    found: list[list[Number]] = []
    main = max(facts.series.items(), key=lambda c: len(c[1]), default=None)
    last_end = 0
    for i, (value, decimals, start, end) in enumerate(claims):
        fit, near = facts.near(value, decimals)
        good = near if fit >= 1 else []
        until = claims[i + 1][2] if i + 1 < len(claims) else len(sentence)
        before = tokens(sentence[max(last_end, start - 70) : start])[-8:]
        after = tokens(sentence[end : min(until, end + 30)])[:3]
        around = {stem(t[0])[:4] for t in (*before, *after) if t[0] not in STOP}
        last_end = end
        fits.append(fit)
        found.append(good)
        share.append(len({q.fact for q in good}) / max(facts.n, 1))
        keyed.append(max((_fits(q.key, around) for q in good), default=-0.5))
        wanted = _wanted(around, facts) or ([main[0]] if main and main[0] in facts.series else [])
        unit = 10.0**-decimals / 2 + 1e-9
        if wanted:
            values = [v for c in wanted for _, v in facts.columns[c]]
            wanted_ok.append(any(abs(abs(v) - abs(value)) <= unit for v in values))
            rows = scope or context.scope
            inside = [v for c in wanted for f, v in facts.columns[c] if not rows or f in rows]
            lead = sentence[max(0, start - 45) : start]
            if inside and len(values) >= 3:
                if HIGH.search(lead) and not LOW.search(lead[-20:]):
                    high.append(any(abs(max(v) - value) <= 2 * unit for v in _by_column(wanted, facts, rows)))
                elif LOW.search(lead):
                    low.append(any(abs(min(v) - value) <= 2 * unit for v in _by_column(wanted, facts, rows)))
                if ABOVE.search(lead):
                    bounds.append(sum(v > value for v in inside) / len(inside))
                elif BELOW.search(lead):
                    bounds.append(sum(v < value for v in inside) / len(inside))
        if scope:
            in_scope.append(any(q.fact in scope for q in good))
        elif context.scope:
            in_context.append(any(q.fact in context.scope for q in good))
    ranges = [
        _range(claims[i], claims[i + 1], facts, scope or context.scope)
        for i in range(len(claims) - 1)
        if RANGE.match(sentence[claims[i][3] : claims[i + 1][2]])
    ]
    rows = [{q.fact for q in f} for f in found if f]
    words = [_WORD_NUMBERS[t[0]] for t in tokens(sentence) if t[0] in _WORD_NUMBERS]
    return {
        "numbers": len(claims),
        "numbers_none": sum(f == 0 for f in fits),
        "numbers_near": sum(0 < f < 1 for f in fits),
        "numbers_rounded": sum(f == 1 for f in fits),
        "numbers_least": min(fits, default=2.5),
        "key_least": min(keyed, default=NAN),
        "key_mean": _share(keyed),
        "column_wrong": len(wanted_ok) - sum(wanted_ok),
        "column_ok": _share(wanted_ok),
        "scope_wrong": len(in_scope) - sum(in_scope),
        "scope_ok": _share(in_scope),
        "context_wrong": len(in_context) - sum(in_context),
        "context_ok": _share(in_context),
        "high_wrong": len(high) - sum(high),
        "low_wrong": len(low) - sum(low),
        "extreme_ok": _share(high + low),
        "bounds": min(bounds, default=NAN),
        "ranges": len(ranges),
        "range_least": min(ranges, default=NAN),
        "share": _share(share),
        "together": _share([bool(a & b) for a, b in combinations(rows[:8], 2)]),
        "scope_rows": len(scope),
        "word_numbers": len(words),
        "word_numbers_none": sum(facts.near(w, 0)[0] != 2 for w in words),
    }


def _wanted(around: set[str], facts: Facts) -> list[tuple]:
    """The columns whose key the words around a number name best."""
    best, found = 0.3, []
    for column, key in facts.keys:
        fit = _fits(key, around)
        if fit > best:
            best, found = fit, [column]
        elif fit == best and found:
            found.append(column)
    return found[:20]


def _by_column(columns: list[tuple], facts: Facts, rows: set[int]) -> list[list[float]]:
    found = ([v for f, v in facts.columns[c] if not rows or f in rows] for c in columns)
    return [v for v in found if v]


def _range(a: tuple, b: tuple, facts: Facts, scope: set[int]) -> float:
    """Whether "a to b" are the ends of a column: 1 both (in the rows of the dates, else of all), .5 one, 0 none."""
    low, high = sorted((a[0], b[0]))
    unit = 10.0 ** -min(a[1], b[1]) / 2 + 1e-9
    best = 0.0
    for rows in (scope, set()) if scope else (set(),):
        for values in _by_column(list(facts.series)[:60], facts, rows):
            ends = (abs(min(values) - low) <= unit) + (abs(max(values) - high) <= unit)
            best = max(best, ends / 2)
    return best


def _trend(sentence: str, scope: set[int], said: list[Date], facts: Facts) -> dict[str, float]:
    up, down, steady = bool(UP.search(sentence)), bool(DOWN.search(sentence)), bool(STEADY.search(sentence))
    got = {"trend": NAN, "steadiness": NAN}
    if not facts.series or not (up or down or steady):
        return got
    rows = facts.series[max(facts.series, key=lambda c: len(facts.series[c]))]
    if scope and len(said) >= 2:  # between the first and the last date named
        inside = [r for r in rows if min(scope) <= r[0] <= max(scope)]
        rows = inside if len(inside) >= 2 else rows
    values = [v for _, v in rows]
    spread = max(values) - min(values) or 1.0
    if up != down:
        got["trend"] = (values[-1] - values[0]) / spread * (1 if up else -1)
    steps = [b - a for a, b in zip(values, values[1:])]
    sign = (1 if up else -1) if up != down else (1 if values[-1] >= values[0] else -1)
    if steady and steps:
        got["steadiness"] = sum(s * sign >= 0 for s in steps) / len(steps)
    return got

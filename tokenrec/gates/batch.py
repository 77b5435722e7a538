"""Checks that need all texts of a task side by side. Linear in their number, up to the neighbours compared.

Each takes parallel sequences (a spool will do: they are read in order, and kept as numbers) and returns findings by
position, only for texts with something to say.
"""

import itertools
from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
from rapidfuzz.distance import Indel
from rapidfuzz.process import cpdist

from .base import Finding
from .found import Found, hashed
from .text import STOP, clip, is_cjk, longest_run, nameless, tokens, words
from .told import Told, runs

NEAR, COLLAPSE, BOILERPLATE = "noise/near_duplicate", "noise/collapse", "noise/boilerplate"
FEW = 20  # below this many subjects, "over-used" and "among its neighbours" mean nothing
_PERMUTATIONS, _BAND = 32, 2  # MinHash: 16 bands of 2 find pairs at Jaccard .6 with probability .999, at .2 .48
_BUCKET = 12  # neighbours compared per bucket: bounds the cost when thousands of texts share one
_PRIME = np.uint64((1 << 61) - 1)
_AT_ONCE = 256  # texts hashed, or compared with their neighbours, together
_SKETCH = 1 << 20
_ENOUGH = 5  # content words beside what is over-used


def collapse(texts: Sequence[str], subjects: Sequence[str], soft: bool = False) -> Mapping[int, Finding]:
    """One output for too many subjects: the same words for more than 2 and over 1% of them.

    `soft` (tags, a line each: dishes may share them): over 90% of at least 20 subjects, and the finding passes.
    Score: the share.
    """
    if not len(texts):
        return {}
    said = np.fromiter((hash(t if soft else words(t)) for t in texts), np.int64, len(texts))
    who = hashed(subjects)
    n, holders = len(np.unique(who)), _holders(said, who)
    few = (n < FEW) if soft else False
    bad = np.flatnonzero(holders > (0.9 * n if soft else max(2, 0.01 * n))) if not few else np.empty(0, int)

    def make(i: int) -> Finding:
        count = int(holders[i])
        reason = f"one answer for {count} of {n} subjects"
        quote = (texts[i].partition("\n")[0] or "[]") if soft else texts[i]
        return Finding(COLLAPSE, soft, round(count / n, 4), reason, clip(quote))

    return Found(bad, make)


def _holders(said: np.ndarray, who: np.ndarray) -> np.ndarray:
    """int64[n]: by how many of `who` the same thing is said."""
    pairs = np.unique(np.stack([said, who], axis=1), axis=0)
    distinct, counts = np.unique(pairs[:, 0], return_counts=True)
    return counts[np.searchsorted(distinct, said)]


def near_duplicates(
    texts: Sequence[str], subjects: Sequence[str], names: Sequence[str], limit: float = 0.85
) -> Mapping[int, Finding]:
    """Texts nearly equal to another subject's: word by word (Indel similarity >= `limit`), without the subjects' names.

    Both are named: nothing in the texts tells which was first. Words, not letters: two lines that differ in what they
    serve are no duplicates. Candidates come from MinHash over word pairs, at most 12 a bucket. Texts with fewer than 4
    words left are compared whole. Score: the similarity.
    """
    who, told = hashed(subjects), Told.of(texts, names)
    flat = lru_cache(8192)(told.as_string)
    best: dict[int, tuple[float, int]] = {}
    for left, right in _pairs(told):
        shorter, both = np.minimum(told.lengths[left], told.lengths[right]), told.lengths[left] + told.lengths[right]
        keep = (who[left] != who[right]) & (2 * shorter >= limit * both)  # else too unlike in length alone
        left, right = left[keep].tolist(), right[keep].tolist()
        ratios = cpdist(
            list(map(flat, left)), list(map(flat, right)), scorer=Indel.normalized_similarity, score_cutoff=limit,
            dtype=np.float64,
        )  # fmt: skip
        for at in np.flatnonzero(ratios):
            i, j, ratio = left[at], right[at], float(ratios[at])
            best[i] = max(best.get(i, (0, 0)), (ratio, j))
            best[j] = max(best.get(j, (0, 0)), (ratio, i))

    def make(i: int) -> Finding:
        ratio, j = best[i]
        return Finding(NEAR, False, round(ratio, 4), f"nearly the text of {names[j] or subjects[j]}", clip(texts[i]))

    return Found(np.fromiter(best, np.int64, len(best)), make)


def _pairs(told: Told) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Places of two texts that share a MinHash band over word pairs: each with the next 12 of its bucket, however full
    that is, so that everyone has neighbours. A pair comes once, whatever the number of bands that it shares."""
    bands, some = _sketch(told)
    n = len(some)
    order = np.argsort(bands, axis=1, kind="stable").astype(np.int32)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(n, dtype=np.int32)[None], axis=1)
    steps = np.arange(1, _BUCKET + 1)
    for start in range(0, n, _AT_ONCE):
        mine = np.arange(start, min(start + _AT_ONCE, n))
        found = []
        for band, by, at in zip(bands, order, rank, strict=True):
            next_ones = at[mine, None] + steps
            others = by[np.minimum(next_ones, n - 1)]
            same = (next_ones < n) & (band[others] == band[mine, None])
            found.append((mine[:, None] * n + others)[same])
        codes = np.unique(np.concatenate(found))
        yield some[codes // n], some[codes % n]


def _sketch(told: Told) -> tuple[np.ndarray, np.ndarray]:
    """(uint64[bands, texts with words], their places)."""
    some = np.flatnonzero(told.lengths)
    bands = np.zeros((_PERMUTATIONS // _BAND, len(some)), np.uint64)
    rows = (told.kept[i] for i in some) if len(some) < len(told) else iter(told.kept)
    for start in range(0, len(some), _AT_ONCE):
        hashes = [runs(ids, told.hashes, min(2, len(ids))) >> np.uint64(32) for ids in itertools.islice(rows, _AT_ONCE)]
        begins = np.cumsum([0, *map(len, hashes[:-1])])
        bands[:, start : start + _AT_ONCE] = _bands(np.concatenate(hashes), begins)
    return bands, some


def _bands(hashes: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """uint64[bands, texts] of the word pairs' hashes; text t's begin at begins[t]."""
    rng = np.random.default_rng(0)
    a = rng.integers(1, 2**31, _PERMUTATIONS, dtype=np.uint64)
    b = rng.integers(0, 2**31, _PERMUTATIONS, dtype=np.uint64)
    lows = np.minimum.reduceat((hashes * a[:, None] + b[:, None]) % _PRIME, begins, axis=1)
    lows = lows.reshape(_PERMUTATIONS // _BAND, _BAND, -1)
    return lows[:, 0] * np.uint64(0x9E3779B97F4A7C15) + lows[:, 1]


def boilerplate(
    texts: Sequence[str], subjects: Sequence[str], names: Sequence[str], limit: float = 0.6
) -> Mapping[int, Finding]:
    """Texts mostly made of runs of 4 words (Han: 6) that the batch over-uses: in over 3% of the subjects, at least 5.

    The subject's name does not count. Fails above `limit`, unless at least 5 content words are left besides: a form
    that is filled in tells what it is filled with. Otherwise the share is a soft score.
    """
    who, told = hashed(subjects), Told.of(texts, names)
    n = len(np.unique(who))
    if n < FEW:
        return {}
    least = max(5, 0.03 * n)
    # a count-min sketch says which runs may be over-used; only those are counted
    sketch = np.zeros(_SKETCH, np.int32)
    for ids in told.rest:
        np.add.at(sketch, _distinct(_runs(told, ids)) % _SKETCH, 1)
    seen, by = array("Q"), array("q")
    for ids, subject in zip(told.rest, who.tolist(), strict=True):
        own = _runs(told, ids)
        often = _distinct(own[sketch[own % _SKETCH] >= least]).tolist()
        seen.extend(often)
        by.extend([subject] * len(often))
    seen, by = np.array(seen, np.uint64).view(np.int64), np.array(by, np.int64)
    worn = np.unique(seen[_holders(seen, by) >= least].view(np.uint64)) if len(seen) else seen
    at = [i for i, ids in enumerate(told.rest) if _among(_runs(told, ids), worn).any()] if len(worn) else []

    def make(i: int) -> Finding:
        ids = told.rest[i]
        hit = _among(_runs(told, ids), worn)
        mask = np.convolve(hit, np.ones(len(ids) - len(hit) + 1, int)) > 0  # all the words of such a run
        share = round(float(mask.mean()), 4)
        start, end = longest_run(mask.tolist())
        seq = _without(texts[i], names[i])
        quote = clip(texts[i][seq[start][1] : seq[end - 1][2]])
        reason = f"{share:.0%} made of phrases that the batch over-uses"
        says = share <= limit or _content(told, ids[~mask]) >= _ENOUGH
        return Finding(BOILERPLATE, says, share, reason, quote)

    return Found(np.array(at, np.int64), make)


def _runs(told: Told, ids: np.ndarray) -> np.ndarray:
    return runs(ids, told.hashes, 6 if told.cjk[ids].sum() > len(ids) / 2 else 4)


def _distinct(values: np.ndarray) -> np.ndarray:
    values = np.sort(values)
    return values[np.r_[True, values[1:] != values[:-1]]] if len(values) else values


def _among(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    return ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)] == values


def _content(told: Told, ids: np.ndarray) -> float:
    """Distinct content words; a Han character is half of one."""
    said = {told.vocabulary[i] for i in set(ids.tolist())} - STOP
    return sum(0.5 if is_cjk(word) else 1 for word in said if not word.isdigit())


def _without(text: str, name: str) -> list:
    """The tokens of `text` that are not its subject's name."""
    seq = tokens(text)
    return [t for t, rest in zip(seq, nameless([t[0] for t in seq], name)) if rest]

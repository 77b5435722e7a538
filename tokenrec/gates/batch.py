"""Checks that need all texts of a task side by side. Linear in their number, up to the neighbours compared.

Each takes parallel sequences (a spool will do: they are read in order, and kept as numbers) and returns findings by
position, only for texts with something to say.
"""

import itertools
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
from rapidfuzz.distance import Indel

from ..spool import Spool
from .base import Finding
from .found import Found, hashed
from .text import clip, covered, is_cjk, longest_run, nameless, tokens, words

NEAR, COLLAPSE, BOILERPLATE = "noise/near_duplicate", "noise/collapse", "noise/boilerplate"
FEW = 20  # below this many subjects, "over-used" and "among its neighbours" mean nothing
_PERMUTATIONS, _BAND = 32, 2  # MinHash: 16 bands of 2 find pairs at Jaccard .6 with probability .999, at .2 .48
_BUCKET = 12  # neighbours compared per bucket: bounds the cost when thousands of texts share one
_PRIME = np.uint64((1 << 61) - 1)
_AT_ONCE = 256  # texts hashed together
_SKETCH = 1 << 20


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
    who = hashed(subjects)
    flat = lru_cache(4096)(lambda i: _without_name(texts[i], names[i]))
    best: dict[int, tuple[float, int]] = {}
    for bucket in _buckets(texts, names):
        for place, i in enumerate(bucket):
            # the next ones in the bucket, so that everyone has neighbours however full it is
            for j in bucket[place + 1 : place + 1 + _BUCKET]:
                if who[i] == who[j]:
                    continue
                if min(best.get(i, (0, 0))[0], best.get(j, (0, 0))[0]) == 1:
                    continue
                ratio = Indel.normalized_similarity(flat(i), flat(j), score_cutoff=limit)
                if ratio:
                    best[i] = max(best.get(i, (0, 0)), (ratio, j))
                    best[j] = max(best.get(j, (0, 0)), (ratio, i))

    def make(i: int) -> Finding:
        ratio, j = best[i]
        return Finding(NEAR, False, round(ratio, 4), f"nearly the text of {names[j] or subjects[j]}", clip(texts[i]))

    return Found(np.fromiter(best, np.int64, len(best)), make)


def _without_name(text: str, name: str) -> list[str]:
    seq = words(text)
    rest = list(itertools.compress(seq, nameless(seq, name)))
    return rest if len(rest) >= 4 else list(seq)


def _buckets(texts: Sequence[str], names: Sequence[str]) -> Iterator[list[int]]:
    """Positions that share a MinHash band over word pairs; buckets of two and more."""
    bands = np.zeros((_PERMUTATIONS // _BAND, len(texts)), np.uint64)
    told = np.zeros(len(texts), bool)
    both = zip(texts, names, strict=True)
    for start in range(0, len(texts), _AT_ONCE):
        hashes, begins = [], []
        for i, (text, name) in enumerate(itertools.islice(both, _AT_ONCE), start):
            seq = _without_name(text, name)
            pairs = {f"{x} {y}" for x, y in itertools.pairwise(seq)} or set(seq)
            if pairs:
                told[i] = True
                begins.append(len(hashes))
                hashes += [zlib.crc32(p.encode("utf-8", "surrogatepass")) for p in pairs]
        if begins:
            at = np.flatnonzero(told[start : start + _AT_ONCE]) + start
            bands[:, at] = _bands(np.array(hashes, np.uint64), begins)
    some = np.flatnonzero(told)
    for band in bands[:, some]:
        order = np.argsort(band, kind="stable")
        cuts = np.flatnonzero(np.diff(band[order])) + 1
        starts, ends = np.r_[0, cuts], np.r_[cuts, len(order)]
        for k in np.flatnonzero(ends - starts > 1):
            yield some[order[starts[k] : ends[k]]].tolist()


def _bands(hashes: np.ndarray, begins: list[int]) -> np.ndarray:
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

    The subject's name does not count. Fails above `limit`; otherwise the share is a soft score.
    """
    who = hashed(subjects)
    n = len(np.unique(who))
    if n < FEW:
        return {}
    least = max(5, 0.03 * n)
    # a count-min sketch says which runs may be over-used; only those are counted
    sketch = np.zeros(_SKETCH, np.int32)
    runs: Spool[np.ndarray] = Spool((), lambda r: r.tobytes(), lambda b: np.frombuffer(b, np.int64))
    for text, name in zip(texts, names, strict=True):
        own = np.array([hash(g) for g in set(_runs([t[0] for t in _without(text, name)]))], np.int64)
        np.add.at(sketch, own % _SKETCH, 1)
        runs.append(own)
    seen, by = array("q"), array("q")
    for own, subject in zip(runs, who.tolist(), strict=True):
        often = own[sketch[own % _SKETCH] >= least].tolist()
        seen.extend(often)
        by.extend([subject] * len(often))
    seen, by = np.array(seen, np.int64), np.array(by, np.int64)
    worn = np.unique(seen[_holders(seen, by) >= least]) if len(seen) else seen
    known = set(worn.tolist())
    at = np.array([i for i, own in enumerate(runs) if not known.isdisjoint(own.tolist())] if known else [], np.int64)

    def make(i: int) -> Finding:
        seq = _without(texts[i], names[i])
        plain = [t[0] for t in seq]
        over_used = {g for g in _runs(plain) if hash(g) in known}
        mask = covered(plain, over_used, _width(plain))
        share = round(sum(mask) / len(mask), 4)
        start, end = longest_run(mask)
        quote = clip(texts[i][seq[start][1] : seq[end - 1][2]])
        reason = f"{share:.0%} made of phrases that the batch over-uses"
        return Finding(BOILERPLATE, share <= limit, share, reason, quote)

    return Found(at, make)


def _without(text: str, name: str) -> list:
    """The tokens of `text` that are not its subject's name."""
    seq = tokens(text)
    return [t for t, rest in zip(seq, nameless([t[0] for t in seq], name)) if rest]


def _width(seq: Sequence[str]) -> int:
    return 6 if sum(map(is_cjk, seq)) > len(seq) / 2 else 4


def _runs(plain: list[str]) -> list[tuple[str, ...]]:
    return list(zip(*(plain[i:] for i in range(_width(plain))), strict=False))

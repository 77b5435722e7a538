"""Texts that could be about anything: they cannot find their own subject in the catalogue."""

import itertools
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .base import Finding
from .batch import FEW
from .found import Found, hashed
from .text import clip, nameless, stem, strings, words
from .told import Told, numbers

TELLING = "noise/not_telling"
_AT_ONCE = 512


def not_telling(
    texts: Sequence[str],
    subjects: Sequence[str],
    records: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    hard: bool = True,
    limit: float = 0.25,
    most: int = 2000,
) -> Mapping[int, Finding]:
    """Texts that cannot find their own subject: over `limit` of the other records are closer by TF-IDF cosine.

    The name is taken out of the text, or any sentence would find its subject; records that hold nothing but the name
    are not judged, nor are fewer than 20 subjects. Against at most `most` records, the first by hash of the subject.
    `hard=False` (open grounding: other words are wanted) gives soft scores. Score: share of closer records, ties half.
    """
    _, first, source = np.unique(hashed(subjects), return_index=True, return_inverse=True)
    if len(first) < FEW:
        return {}
    vocabulary: dict[str, int] = defaultdict()
    vocabulary.default_factory = vocabulary.__len__
    wanted = np.zeros(len(texts), bool)
    wanted[first] = True
    held: Counter[int] = Counter()
    sources = numbers()
    told = np.zeros(len(first), bool)
    order = np.zeros(len(first), np.uint32)  # by hash of the subject
    place = np.zeros(len(first), np.int64)  # of a subject's record among the sources
    for i, (record, name, subject) in enumerate(zip(records, names, subjects, strict=True)):
        if not wanted[i]:
            continue
        ids = [vocabulary[s] for s in _stems(" ".join(strings(dict(record))), name)]
        held.update(set(ids))
        told[source[i]], place[source[i]] = bool(ids), len(sources)
        order[source[i]] = zlib.crc32(subject.encode("utf-8", "surrogatepass"))
        sources.append(np.array(ids, np.int32))
    if told.sum() < FEW:
        return {}
    vocabulary.default_factory = None
    df = np.bincount(list(held), list(held.values()), len(vocabulary))
    idf = np.log((1 + len(first)) / (1 + df)) + 1
    others = _weighed([sources[p] for p in place[np.argsort(order, kind="stable")[:most]]], idf)
    share = np.zeros(len(texts))
    judged = np.zeros(len(texts), bool)
    words_told = Told.of(texts, names)
    number = words_told.stems(vocabulary)
    rows = iter(words_told.rest)
    for at in range(0, len(texts), _AT_ONCE):
        mine = source[at : at + _AT_ONCE]
        said = [number[ids] for ids in itertools.islice(rows, _AT_ONCE)]
        block = _weighed([ids[ids >= 0] for ids in said], idf)
        own = np.asarray(block.multiply(_weighed([sources[p] for p in place[mine]], idf)).sum(axis=1)).ravel()
        sims = (block @ others.T).toarray()
        above = (sims > own[:, None] + 1e-9).sum(axis=1)
        same = (sims >= own[:, None] - 1e-9).sum(axis=1) - above
        share[at : at + len(mine)] = (above + np.maximum(same - 1, 0) / 2) / max(others.shape[0] - 1, 1)
        judged[at : at + len(mine)] = told[mine] & ((np.diff(block.indptr) > 0) | hard)

    def make(i: int) -> Finding:
        value, bad = float(share[i]), share[i] > limit
        reason = f"{value:.0%} of the other records fit it better than its own" if bad else ""
        return Finding(TELLING, not (bad and hard), round(value, 4), reason, clip(texts[i]) if bad else "")

    return Found(np.flatnonzero(judged), make)


def _stems(text: str, without: str) -> list[str]:
    seq = words(text)
    return list(map(stem, itertools.compress(seq, nameless(seq, without))))


def _weighed(rows: Sequence[Sequence[int]], idf: np.ndarray):
    """TF-IDF rows (sublinear term frequency, unit length), from the ids of each row's words."""
    from scipy.sparse import csr_matrix
    from sklearn.preprocessing import normalize

    indptr = np.cumsum([0, *map(len, rows)])
    ids = np.concatenate([np.asarray(r, np.int32) for r in rows])
    counts = csr_matrix((np.ones(len(ids)), ids, indptr), (len(rows), len(idf)))
    counts.sum_duplicates()
    counts.data = (1 + np.log(counts.data)) * idf[counts.indices]
    return normalize(counts, copy=False)

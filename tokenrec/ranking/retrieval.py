"""Items for a request in words: BM25, an encoder, and both fused."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tokenrec.errors import InputError
from tokenrec.gates.text import STOP, stem, words

DEPTH = 1000  # places that a ranking has at most, as in TREC
RRF_K = 60  # Cormack, Clarke and Buettcher (2009)
_CELLS = 1 << 24  # request × item scores held at a time


@dataclass(frozen=True)
class Top:
    """The best items of each request, best first: parallel arrays [requests, places], -1 where there are no more."""

    item: np.ndarray  # int32
    score: np.ndarray  # float32, NaN where item is -1

    def __len__(self) -> int:
        return len(self.item)


Search = Callable[[Sequence[str]], Top]  # requests → their items


def bm25(texts: Sequence[str], depth: int = DEPTH) -> Search:
    """Okapi BM25 as Lucene has it (k1 1.5, b .75; bm25s) over stems without grammar words; every Han character is a
    word. An item that shares no word with a request is not among its items.

    Raises InputError where bm25s is not installed.
    """
    try:
        from bm25s import BM25
    except ImportError as error:
        raise InputError("BM25 needs bm25s. run: pip install bm25s") from error
    index, tokens = BM25(method="lucene"), [terms(t) for t in texts]
    known = {t for one in tokens for t in one}
    if known:
        index.index(tokens, show_progress=False)

    def score(request: str) -> np.ndarray:
        asked = [t for t in terms(request) if t in known]
        return np.asarray(index.get_scores(asked) if asked else np.zeros(len(texts)), np.float32)[None]

    return lambda requests: top_of(map(score, requests), len(texts), depth, least=0.0)


def terms(text: str) -> list[str]:
    return [stem(w) for w in words(text) if w not in STOP]


def nearest(vectors: np.ndarray, encode: Callable[[list[str]], np.ndarray], depth: int = DEPTH) -> Search:
    """Cosine of the requests' vectors to the items' (unit rows, [items, d]; a row of NaN is never found)."""
    items = np.nan_to_num(vectors.astype(np.float32)).T
    empty = np.isnan(vectors).any(axis=1)

    def search(requests: Sequence[str]) -> Top:
        asked = np.nan_to_num(encode(list(requests)).astype(np.float32))
        step = max(1, _CELLS // max(1, len(empty)))
        blocks = (asked[i : i + step] @ items for i in range(0, len(asked), step))
        return top_of((np.where(empty, -np.inf, b) for b in blocks), len(empty), depth)

    return search


def fused(*searches: Search, depth: int = DEPTH) -> Search:
    """Reciprocal rank fusion: an item's score is the sum of 1 / (60 + its place) over the rankings that have it."""

    def search(requests: Sequence[str]) -> Top:
        return fuse([s(requests) for s in searches], depth)

    return search


def reciprocal(place: np.ndarray) -> np.ndarray:
    """What a place (1 is best, 0 for none) adds to a fused score."""
    return np.where(place > 0, 1 / (RRF_K + place.astype(np.float32)), 0)


def fuse(tops: Sequence[Top], depth: int = DEPTH) -> Top:
    """Rankings of the same requests as one (see `fused`)."""
    n_items = 1 + max((int(t.item.max(initial=-1)) for t in tops), default=-1)

    def rows():
        for r in range(len(tops[0])):
            score = np.zeros(n_items, np.float32)
            for top in tops:
                found = top.item[r][top.item[r] >= 0]
                score[found] += reciprocal(1 + np.arange(len(found)))
            yield score[None]

    return top_of(rows(), n_items, depth, least=0.0)


def top_of(blocks, n_items: int, depth: int, least: float = -np.inf) -> Top:
    """The best of score blocks [requests, items] that are above `least`; ties by item code."""
    depth, items, scores = min(depth, n_items), [], []
    for block in blocks:
        order = np.argsort(-block, axis=1, kind="stable")[:, :depth].astype(np.int32)
        best = np.take_along_axis(block, order, axis=1)
        out = ~(best > least)
        items.append(np.where(out, -1, order))
        scores.append(np.where(out, np.nan, best))
    empty = np.zeros((0, depth))
    return Top(
        np.concatenate([*items, empty.astype(np.int32)]), np.concatenate([*scores, empty.astype(np.float32)])
    )  # fmt: skip

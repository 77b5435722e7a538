"""BM25, nearest vectors and their fusion, against the formulas."""

import math
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenrec.ranking.retrieval import Top, bm25, fuse, fused, nearest, terms

WORD = st.sampled_from(["lemon", "soup", "spicy", "chicken", "cold", "noodles", "dill", "beet", "rice"])
TEXT = st.lists(WORD, max_size=9).map(" ".join)


def okapi(texts, request, k1=1.5, b=0.75):
    """Robertson and Zaragoza (2009), idf as Lucene has it; the constant factor k1 + 1 is left out as Lucene does."""
    docs = [Counter(terms(t)) for t in texts]
    mean = sum(d.total() for d in docs) / len(docs)
    scores = np.zeros(len(docs))
    for term in terms(request):
        n = sum(term in d for d in docs)
        idf = math.log(1 + (len(docs) - n + 0.5) / (n + 0.5))
        for i, d in enumerate(docs):
            scores[i] += idf * d[term] / (d[term] + k1 * (1 - b + b * d.total() / mean))
    return scores


@settings(max_examples=50, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=8), st.lists(WORD, max_size=4, unique=True).map(" ".join))
def test_bm25_is_the_formula_and_lists_what_shares_a_word(texts, request):
    top = bm25(texts)([request])
    truth = okapi(texts, request) if any(map(terms, texts)) else np.zeros(len(texts))
    found = top.item[0] >= 0
    assert set(top.item[0][found]) == set(np.flatnonzero(truth > 0)) and np.isnan(top.score[0][~found]).all()
    np.testing.assert_allclose(top.score[0][found], truth[top.item[0][found]], rtol=1e-4)
    assert (np.diff(top.score[0][found]) <= 0).all()


def test_stems_and_han_characters_are_words_and_grammar_is_not():
    search = bm25(["oysters in cream", "酸辣汤", "in the pot"])
    assert search(["an oyster"]).item[0].tolist() == [0, -1, -1]
    assert search(["想喝汤"]).item[0].tolist() == [1, -1, -1]
    assert search(["in the"]).item[0].tolist() == [-1, -1, -1]


def test_an_empty_catalogue_of_words_finds_nothing():
    assert bm25(["", "the"])(["lemon"]).item.tolist() == [[-1, -1]]
    assert bm25(["lemon"])([]).item.shape == (0, 1)


def test_nearest_is_cosine_order_and_leaves_out_what_has_no_vector():
    vectors = np.array([[1, 0], [0.8, 0.6], [np.nan, np.nan], [0, 1]])
    search = nearest(vectors, lambda texts: np.array([[1.0, 0.0] if t == "east" else [0.0, 1.0] for t in texts]))
    top = search(["east", "north"])
    assert top.item.tolist() == [[0, 1, 3, -1], [3, 1, 0, -1]]
    np.testing.assert_allclose(top.score[:, :3], [[1, 0.8, 0], [1, 0.6, 0]], atol=1e-6)
    assert nearest(vectors, lambda t: np.array([[1.0, 0.0]]), depth=2)(["east"]).item.tolist() == [[0, 1]]


def test_fusion_adds_reciprocal_ranks():
    first = Top(np.array([[2, 0, 1]], np.int32), np.array([[9, 5, 1]], np.float32))
    second = Top(np.array([[0, -1, -1]], np.int32), np.array([[1, np.nan, np.nan]], np.float32))
    top = fuse([first, second])
    assert top.item.tolist() == [[0, 2, 1]]
    np.testing.assert_allclose(top.score, [[1 / 62 + 1 / 61, 1 / 61, 1 / 63]], rtol=1e-5)
    same = fused(lambda r: first, lambda r: second, depth=2)(["x"])
    assert same.item.tolist() == [[0, 2]]

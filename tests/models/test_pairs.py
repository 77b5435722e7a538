"""Pairs of requests and items: the filter keeps the best of each request, the placebo gives nobody their own, negatives are no answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenrec.compiler.retriever import at_most_requests, parts
from tokenrec.errors import InputError
from tokenrec.models.bi_encoder import draw_negatives
from tokenrec.tasks.pairs import Pairs, best_of_each, shuffled


def made(sizes: list[int], owners: list[int], n_items: int = 60) -> Pairs:
    rng = np.random.default_rng(sum(sizes))
    request = np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)
    item = np.concatenate([rng.choice(n_items, s, replace=False) for s in sizes]).astype(np.int32)
    return Pairs([f"request {i}" for i in range(len(sizes))], [f"u{o}" for o in owners], request, item)


WORLDS = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 6)), min_size=1, max_size=25).map(
    lambda rows: made([s for s, _ in rows], [o for _, o in rows])
)


@given(WORLDS, st.floats(0.05, 1), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_the_filter_keeps_the_best_share_of_every_request(pairs, share, seed):
    score = np.random.default_rng(seed).random(len(pairs))
    kept = best_of_each(pairs, score, share)
    for r in range(len(pairs.texts)):
        of = pairs.request == r
        assert 1 <= (kept & of).sum() <= max(1, int(np.ceil(share * of.sum())))
        if (of & ~kept).any():
            assert score[of & kept].min() >= score[of & ~kept].max()


@given(st.lists(st.integers(1, 6), min_size=12, max_size=30), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_the_placebo_gives_nobody_their_own(sizes, seed):
    pairs = made(sizes, [i // 2 for i in range(len(sizes))])
    dealt = shuffled(pairs, seed)
    assert sorted(dealt.item) == sorted(pairs.item) and dealt.texts == pairs.texts
    own = {r: tuple(pairs.item[pairs.request == r]) for r in range(len(sizes))}
    whose = {items: pairs.owner[r] for r, items in own.items()}
    if len(whose) == len(own):  # no two requests have the very same items
        for r in range(len(sizes)):
            assert whose[tuple(dealt.item[dealt.request == r])] != pairs.owner[r]


@given(WORLDS, st.integers(0, 40), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_negatives_are_near_and_no_answers(pairs, skip, each):
    rng = np.random.default_rng(7)
    items, requests = rng.normal(size=(60, 8)), rng.normal(size=(len(pairs.texts), 8))
    found = draw_negatives(pairs, requests, items, each, skip, nearest=10)
    assert found.shape == (len(pairs), each)
    for p, row in enumerate(found):
        own = pairs.item[pairs.request == pairs.request[p]]
        order = [i for i in np.argsort(-(items @ requests[pairs.request[p]]), kind="stable") if i not in own]
        passed = min(skip, 15)
        assert set(row) <= set(order[passed : passed + 10])


@given(WORLDS, st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_what_a_filter_left_out_is_no_negative_nor_is_it_the_placebos(pairs, seed):
    rng = np.random.default_rng(seed)
    items, requests = rng.normal(size=(60, 8)), rng.normal(size=(len(pairs.texts), 8))
    kept = pairs.of_pairs(best_of_each(pairs, rng.random(len(pairs)), 0.3))
    for some in (kept, shuffled(kept)):
        found = draw_negatives(some, requests, items, 3, 0, nearest=60, own=pairs)
        for p, row in enumerate(found):
            r = some.request[p]
            assert not set(row) & {*pairs.item[pairs.request == r], *some.item[some.request == r]}


def test_a_request_for_the_whole_catalogue_has_no_negative():
    pairs = made([4], [0], n_items=4)
    with pytest.raises(InputError, match="nothing is left"):
        draw_negatives(pairs, np.ones((1, 2)), np.ones((4, 2)))


def test_requests_of_one_owner_are_held_out_together():
    pairs = made([2] * 40, [i // 4 for i in range(40)])
    some = parts(pairs, 0.25)
    assert not set(some[0].owner) & set(some[1].owner) and not set(some[1].owner) & set(some[2].owner)
    assert sorted(t for p in some for t in p.texts) == sorted(pairs.texts) and sum(map(len, some)) == len(pairs)
    for part in some:
        for text, item in zip((part.texts[r] for r in part.request), part.item, strict=True):
            assert item in pairs.item[pairs.request == pairs.texts.index(text)]


def test_a_look_at_some_requests_keeps_all_pairs_of_each():
    pairs = made([3] * 40, list(range(40)))
    few = at_most_requests(pairs, 7)
    assert len(few.texts) == 7 and len(few) == 21 and set(few.texts) < set(pairs.texts)
    assert few.item.tolist() == pairs.item[[t in few.texts for t in (pairs.texts[r] for r in pairs.request)]].tolist()
    assert at_most_requests(pairs, 40) is pairs

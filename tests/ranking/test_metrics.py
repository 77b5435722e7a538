"""Metrics agree with ir-measures, and their parts with the whole."""

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ranking.worlds import flat_lists
from tokenrec.errors import InputError
from tokenrec.ranking.metrics import SLICES, contributions, mean, parse_metric, per_list, relevant_ranks, tie_order

NAMES = {"ndcg": ir_measures.nDCG, "recall": ir_measures.R, "mrr": ir_measures.RR}


def reference(score, lists, metric, tie, keep=None):
    """ir-measures on the same ranking, ties broken beforehand; NaN for lists it has no relevant item of."""
    kind, k = parse_metric(metric)
    keep = np.ones(len(score), bool) if keep is None else keep
    qrels, run = [], []
    for row in np.flatnonzero(keep):
        lst, item = str(lists.list_of_row[row]), str(lists.item_of_row[row])
        if lists.label[row]:
            qrels.append(ir_measures.Qrel(lst, item, 1))
    for lst in range(len(lists)):
        rows = np.flatnonzero(keep & (lists.list_of_row == lst))
        rows = rows[np.lexsort((tie[lists.item_of_row[rows]], -score[rows]))]
        run += [ir_measures.ScoredDoc(str(lst), str(lists.item_of_row[r]), -float(p)) for p, r in enumerate(rows)]
    out = np.full(len(lists), np.nan)
    for value in ir_measures.iter_calc([NAMES[kind] @ k], qrels, run):
        out[int(value.query_id)] = value.value
    return out


@pytest.mark.parametrize("metric", ["ndcg@1", "ndcg@5", "ndcg@10", "recall@5", "mrr@5", "mrr@20"])
@pytest.mark.parametrize("seed", range(4))
def test_equals_ir_measures_with_many_ties(metric, seed):
    rng = np.random.default_rng(seed)
    lists = flat_lists(rng)
    score = rng.integers(0, 4, len(lists.label)).astype(float)
    tie = rng.permutation(15).astype(np.int32)
    ours = per_list(relevant_ranks(score, lists, tie), lists, metric)
    assert np.allclose(ours, reference(score, lists, metric, tie))


@pytest.mark.parametrize("slice", ["cold_items", "warm"])
@pytest.mark.parametrize("metric", ["ndcg@5", "recall@5", "mrr@5"])
def test_item_slices_equal_ir_measures_on_the_ranking_without_the_other_relevant_items(slice, metric):
    rng = np.random.default_rng(8)
    lists = flat_lists(rng, relevant=0.1)
    score = rng.normal(size=len(lists.label)).round(1)
    keep = (lists.label == 0) | (lists.cold_row == (slice == "cold_items"))
    ours = per_list(relevant_ranks(score, lists), lists, metric, slice)
    theirs = reference(score, lists, metric, np.arange(15), keep)
    assert np.allclose(ours, theirs, equal_nan=True)


def test_sparse_users_keeps_their_lists_only():
    lists = flat_lists(np.random.default_rng(1))
    ranks = relevant_ranks(np.zeros(len(lists.label)), lists)
    whole, part = per_list(ranks, lists, "ndcg@10"), per_list(ranks, lists, "ndcg@10", "sparse_users")
    assert np.array_equal(part[lists.sparse_list], whole[lists.sparse_list])
    assert np.isnan(part[~lists.sparse_list]).all()
    assert mean(np.full(3, np.nan)) != mean(np.full(3, np.nan))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6), st.sampled_from(["ndcg@3", "recall@3", "mrr@3"]), st.sampled_from(SLICES), st.integers(0, 2)
)
def test_contributions_sum_to_the_metric_and_stay_within_bounds(seed, metric, slice, missed):
    rng = np.random.default_rng(seed)
    lists = flat_lists(rng, n_lists=5, n_items=8, relevant=0.4, missed=missed)
    ranks = relevant_ranks(rng.integers(0, 3, len(lists.label)), lists)
    parts = contributions(ranks, lists, metric, slice)
    values = per_list(ranks, lists, metric, slice)
    sums = np.bincount(parts.list, parts.value, minlength=len(lists))
    assert np.allclose(sums[parts.member], values[parts.member])
    assert ((values[parts.member] >= 0) & (values[parts.member] <= 1 + 1e-12)).all()
    assert len(np.unique(parts.list * 100 + parts.item)) == len(parts.list)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_a_monotone_change_of_scores_moves_no_rank(seed):
    rng = np.random.default_rng(seed)
    lists = flat_lists(rng)
    score = rng.integers(-3, 4, len(lists.label)).astype(float)
    assert np.array_equal(relevant_ranks(score, lists), relevant_ranks(np.exp(score) * 2 + 1, lists))


def test_missed_items_lower_the_ceiling():
    lists = flat_lists(np.random.default_rng(2), n_lists=1, n_items=3, relevant=0)
    perfect = relevant_ranks(lists.label.astype(float), lists)
    assert per_list(perfect, lists, "recall@5")[0] == 1
    lists.missed[0] = 1
    assert per_list(perfect, lists, "recall@5")[0] == 0.5
    assert per_list(perfect, lists, "ndcg@5")[0] == pytest.approx(1 / (1 + 1 / np.log2(3)))


def test_nan_scores_rank_last_and_ties_go_by_item_id_text():
    lists = flat_lists(np.random.default_rng(3), n_lists=1, n_items=4, relevant=0)
    rest = np.where(lists.label == 1, np.nan, 0.0)
    assert relevant_ranks(rest, lists)[0] == len(rest)
    assert tie_order(["10", "9", "日", "1"]).tolist() == [1, 2, 3, 0]


def test_unknown_metrics_and_slices_are_refused():
    lists = flat_lists(np.random.default_rng(0))
    for bad in ("map@10", "ndcg", "ndcg@0"):
        with pytest.raises(InputError, match="ndcg@10"):
            parse_metric(bad)
    with pytest.raises(InputError, match="sparse_users"):
        contributions(relevant_ranks(lists.label, lists), lists, "ndcg@5", "hot")

"""Thresholds that keep a promise: never above the stated chance of breaking it, and useful where the labels allow."""

import numpy as np
import pytest
from scipy import stats

from tokenrec.evidence.promise import Unit, p_value, promise, thresholds, worth

REPEATS = 120


def world(rng, n, rate, signal, most=4, together=1.0):
    """n texts of 1 to `most` sentences: unsupported ones cluster in texts, scores tell them apart by `signal`."""
    texts = []
    for _ in range(n):
        k = rng.integers(1, most + 1)
        bad = rng.random(k) < rng.beta(rate * together, (1 - rate) * together)
        texts.append((1 / (1 + np.exp(1.5 - rng.normal(size=k) - signal * bad)), bad))
    return texts


def share(texts, threshold, drop):
    """The share of unsupported sentences among the accepted ones of a world."""
    starts = np.cumsum([0, *(len(p) for p, _ in texts[:-1])])
    into = np.concatenate([p for p, _ in texts]) < threshold
    if not drop:
        into = np.repeat(np.logical_and.reduceat(into, starts), [len(p) for p, _ in texts])
    return (np.concatenate([bad for _, bad in texts]) & into).sum() / max(into.sum(), 1)


@pytest.mark.parametrize("drop", [True, False])
@pytest.mark.parametrize(("rate", "signal"), [(0.11, 0.0), (0.13, 0.5), (0.25, 1.5)])
def test_a_promise_is_broken_no_more_often_than_stated(drop, rate, signal):
    """Confidence .8 over clustered sentences; the first worlds have no threshold that keeps the risk, by a hair."""
    rng = np.random.default_rng(int(1000 * rate) + drop)
    texts = world(rng, 8000, rate, signal)
    scores = [p for p, _ in texts[:300]]
    broken = 0
    for _ in range(REPEATS):
        units = [Unit(*texts[i]) for i in rng.choice(len(texts), 200, replace=False)]
        found = promise(units, scores, 0.1, 0.8, drop)
        broken += found.threshold is not None and share(texts, found.threshold, drop) > 0.1
    assert broken <= stats.binom.ppf(0.999, REPEATS, 0.2)


def test_uneven_draws_are_weighed():
    """Suspicious texts are drawn four times as often: with weights the promise holds, and it is made more often than
    by as many labels that are few where it matters."""
    rng = np.random.default_rng(5)
    texts = world(rng, 6000, 0.12, 1.0)
    suspicious = np.array([p.max() > 0.5 for p, _ in texts])
    strata = [np.flatnonzero(suspicious), np.flatnonzero(~suspicious)]
    broken = 0
    for _ in range(REPEATS):
        units = []
        for found, n in zip(strata, (120, 80), strict=True):
            units += [Unit(*texts[i], len(found) / n) for i in rng.choice(found, n, replace=False)]
        told = promise(units, [p for p, _ in texts[:300]], 0.1, 0.8, True)
        broken += told.threshold is not None and share(texts, told.threshold, True) > 0.1
    assert broken <= stats.binom.ppf(0.999, REPEATS, 0.2)


def test_good_scores_and_many_labels_let_most_texts_through():
    rng = np.random.default_rng(1)
    texts = world(rng, 5000, 0.1, 2.5)
    found = promise([Unit(*t) for t in texts[:400]], [p for p, _ in texts[400:700]], 0.1, 0.9, True)
    assert found.threshold is not None and found.passes > 0.85
    assert (found.texts, found.sentences) == (400, sum(len(p) for p, _ in texts[:400]))
    assert found.could[0] <= 0.1


def test_where_it_cannot_promise_it_says_what_it_could():
    rng = np.random.default_rng(2)
    texts = world(rng, 400, 0.3, 0.5)
    found = promise([Unit(*t) for t in texts], [p for p, _ in texts], 0.05, 0.9, True)
    assert found.threshold is None and found.passes == 0
    risk, threshold, passes = found.could
    assert risk > 0.05 and passes > 0
    assert share(texts, threshold, True) < risk


def test_without_labels_or_texts_nothing_is_promised():
    assert promise([], [np.array([0.1])], 0.1, 0.9, True).threshold is None
    assert promise([], [], 0.1, 0.9, False).threshold is None


def test_p_value_of_single_sentences_is_nearly_the_exact_one():
    """One sentence a text, drawn evenly: a binomial tail."""
    one, even = np.ones(60, int), np.ones(60)
    assert 0.9**60 <= p_value(*worth(one, 0 * one, even), 0.1) <= 2 * 0.9**60
    for wrong in (1, 3):
        exact = stats.binom.cdf(wrong, 60, 0.1)
        assert exact <= p_value(*worth(one, np.arange(60) < wrong, even), 0.1) <= 1.5 * exact
    assert p_value(*worth(one, one, even), 0.1) == 1.0 and p_value(*worth(0 * one, one, even), 0.1) == 1.0


def test_sentences_that_go_wrong_together_are_worth_less():
    six, even = np.full(60, 6), np.ones(60)
    apart, together = np.array([1] * 6 + [0] * 54), np.array([6] + [0] * 59)
    assert p_value(*worth(six, apart, even), 0.05) < p_value(*worth(six, together, even), 0.05)


def test_grid_comes_from_scores_alone_and_ends_with_everything():
    scores = [np.array([0.1, 0.4]), np.array([0.9])]
    grid = thresholds(scores, drop=True)
    assert grid == sorted(grid) and grid[-1][1] == 1.0
    assert thresholds(scores, drop=False)[-1][1] == 1.0 and thresholds([], True) == []

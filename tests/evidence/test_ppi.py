"""Rates from an audited sample: 95% intervals hold the truth in simulated worlds, and a good score narrows them."""

from functools import cache

import numpy as np
import pytest

from tokenrec.evidence.audited import Sample, sample_rate
from tokenrec.evidence.ppi import FEW, Group, combined, group_interval
from tokenrec.evidence.rates import clopper_pearson, hypergeometric
from tokenrec.evidence.texts import TaskTexts, Text

WORLDS, DRAWS = 20, 100  # 2,000 replications a regime: a Monte Carlo error of .005 at .95


def world(rng, texts, rate, quality, hit, false):
    """(strata, flagged): lists of (y, f): accepted ones in two strata by score, those that the gates rejected.

    quality: how far apart the scores of bad and good texts stand, in standard deviations, halved.
    """
    y = rng.random(texts) < rate
    f = 1 / (1 + np.exp(-(quality * (2 * y - 1) + rng.normal(size=texts))))
    flag = rng.random(texts) < np.where(y, hit, false)
    high = ~flag & (f > np.quantile(f[~flag], 0.75))
    return [np.array([y[m], f[m]], float) for m in (~flag & ~high, high)], np.array([y[flag], f[flag]], float)


def sample(rng, strata, takes, useful=True):
    rows = [s[:, rng.choice(s.shape[1], n, replace=False)] for s, n in zip(strata, takes, strict=True)]
    y, f = np.concatenate(rows, axis=1)
    every = np.concatenate(strata, axis=1)[1]
    sizes = np.array([s.shape[1] for s in strata])
    return Group(y > 0, f * useful, np.repeat(np.arange(len(rows)), takes), sizes, float(every.mean()) * useful)


@cache
def width_alone(bad, n, texts):
    """Of the exact interval from as many labels of an even draw, without a score."""
    low, high = hypergeometric(bad, n, texts)
    return high - low


@pytest.mark.parametrize(
    ("texts", "n", "rate", "quality", "hit", "false", "ratio"),
    [
        (2000, 100, 0.02, 0.0, 0, 0, 1.25),  # rare, and a score that tells nothing
        (2000, 300, 0.02, 2.0, 0, 0, 1.0),  # rare, a good score
        (2000, 100, 0.1, 0.0, 0, 0, 1.2),
        (2000, 200, 0.1, 2.0, 0, 0, 0.65),
        (2000, 100, 0.3, 0.0, 0, 0, 1.15),
        (2000, 100, 0.3, 1.0, 0, 0, 0.85),
        (2000, 60, 0.3, 2.0, 0, 0, 0.65),
        (300, 60, 0.55, 0.3, 0, 0, 1.1),  # a fifth is read: finite, and hardly any help
        (2000, 200, 0.05, 0.5, 0.9, 0.01, 0.9),  # most bad texts are rejected: their stratum is over-drawn
        (600, 80, 0.15, 0.3, 0.3, 0.1, 1.2),  # a poor gate
    ],
)
def test_coverage(texts, n, rate, quality, hit, false, ratio):
    """Coverage is at least .94 (nominal .95), without bias; `ratio` bounds the width over that of labels alone."""
    rng = np.random.default_rng(20)
    covered, errors, widths, alone = [], [], [], []
    for _ in range(WORLDS):
        accepted, flagged = world(rng, texts, rate, quality, hit, false)
        rejected = min(flagged.shape[1], int(0.3 * n))
        sizes = [s.shape[1] for s in accepted]
        high = round((n - rejected) * 1.5 * sizes[1] / (1.5 * sizes[1] + sizes[0]))
        every = np.concatenate([*accepted, flagged], axis=1)[0]
        truth = every.mean()
        for _ in range(DRAWS):
            groups = [sample(rng, accepted, [n - rejected - high, high])]
            if rejected:
                groups.append(sample(rng, [flagged], [rejected]))
            value, low, high_end = combined(groups)
            covered.append(low - 1e-9 <= truth <= high_end + 1e-9)
            errors.append(value - truth)
            widths.append(high_end - low)
            alone.append(width_alone(int(rng.hypergeometric(int(every.sum()), texts - int(every.sum()), n)), n, texts))
    assert np.mean(covered) >= 0.94, np.mean(covered)
    print(f"coverage {np.mean(covered):.3f}, width {np.mean(widths):.4f}, over labels alone {np.mean(widths) / np.mean(alone):.2f}")
    assert abs(np.mean(errors)) < 0.006
    assert np.mean(widths) < ratio * np.mean(alone), np.mean(widths) / np.mean(alone)


def test_value_is_ppi_plus_plus_with_the_best_slope_of_the_design():
    rng = np.random.default_rng(0)
    (low, high), _ = world(rng, 500, 0.4, 1.0, 0, 0)
    g = sample(rng, [low, high], [40, 40])
    value, *_ = group_interval(g)
    share, n_h = g.sizes / 500, np.array([40, 40])
    w = (share / n_h)[g.stratum]

    def variance(slope):
        r = g.y - slope * g.f
        return sum(share[h] ** 2 * (1 - 40 / g.sizes[h]) * r[g.stratum == h].var(ddof=1) / 40 for h in (0, 1))

    slope = (value - w @ g.y) / (g.mean - w @ g.f)
    assert slope > 0 and variance(slope) <= min(variance(slope * 0.99), variance(slope * 1.01))


def test_few_labels_get_an_exact_interval():
    even = Group(np.arange(100) < 2, np.linspace(1, 0, 100), np.zeros(100, int), np.array([5000]), 0.2)
    assert group_interval(even) == (0.02, *hypergeometric(2, 100, 5000))
    uneven = Group(np.zeros(90, bool), np.zeros(90), np.repeat([0, 1], [30, 60]), np.array([500, 500]), 0.0)
    value, low, high = group_interval(uneven)  # half of all was drawn 30 times, so that all might as well be drawn 60
    assert (value, low) == (0, 0) and high == hypergeometric(0, 60, 1000)[1] <= clopper_pearson(0, 60)[1]
    nearly = Group(np.arange(100) < FEW, np.zeros(100), np.zeros(100, int), np.array([10**6]), 0.0)
    assert group_interval(nearly)[1:] == pytest.approx(clopper_pearson(FEW, 100), abs=1e-4)


def test_agreement_with_the_score_is_no_certainty():
    y = np.arange(40) < 20
    _, low, high = group_interval(Group(y, y.astype(float), np.zeros(40, int), np.array([400]), 0.5))
    assert high - low > 0.06
    _, low, high = combined([Group(y[:20], y[:20] * 1.0, np.zeros(20, int), np.array([100]), 1.0),
                             Group(y[20:], y[20:] * 1.0, np.zeros(20, int), np.array([900]), 0.0)])  # fmt: skip
    assert high > 0.2


def test_what_nobody_looked_at_is_unknown_and_all_read_leaves_nothing():
    none = Group(np.zeros(0, bool), np.zeros(0), np.zeros(0, int), np.array([100]), 0.0)
    read = Group(np.zeros(50, bool), np.zeros(50), np.zeros(50, int), np.array([50]), 0.0)
    value, low, high = combined([none, read])
    assert (value, low) == (0.0, 0.0) and high == pytest.approx(2 / 3)
    assert combined([read]) == (0.0, 0.0, 0.0)
    half = Group(np.ones(10, bool), np.ones(10), np.ones(10, int), np.array([30, 10]), 1.0)  # stratum 0: no label
    assert combined([half]) == pytest.approx((1.0, 0.25, 1.0))
    with pytest.raises(ValueError, match="no label"):
        combined([none])


def test_rates_by_stage_from_strata():
    def text(i, flag=""):
        return Text("mood", f"s{i}", "", f"c{i}", {}, {"n": i}, flag)

    good, refused = [text(i) for i in range(30)], [text(i, "noise") for i in range(30, 40)]
    texts = TaskTexts("mood", 40, before=[*good, *refused], after=good)
    sample = Sample({"accepted": good, "rejected, noise": refused}, 20)
    assert sample_rate(texts, "before", "noise", sample).value is None
    sample.labels = {t.key: "noise" if t.flag or t is good[0] else "sound" for t in good[:10] + refused}
    before, after = (sample_rate(texts, stage, "noise", sample) for stage in ("before", "after"))
    assert (before.value, before.audited, before.flagged) == (pytest.approx(0.25 + 0.75 * 0.1), 20, 0.25)
    assert (after.value, after.audited, after.flagged) == (pytest.approx(0.1), 10, 0.0)
    assert before.low == pytest.approx(0.25 + 1 / 40)  # what was read is certain
    assert sample_rate(texts, "after", "hallucination", sample).low == 0
    assert sum(sample.weights().values()) == pytest.approx(40) and sample.finished

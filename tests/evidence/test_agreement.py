"""Two people's labels: Cohen's kappa, and an interval that holds it."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from tokenrec.evidence.agreement import LEAST, agreement

LABELS = np.array(["sound", "noise", "hallucination"])


def test_kappa_is_sklearns():
    rng = np.random.default_rng(1)
    first = LABELS[rng.integers(0, 3, 60)]
    second = np.where(rng.random(60) < 0.7, first, LABELS[rng.integers(0, 3, 60)])
    got = agreement(list(zip(first, second, strict=True)))
    assert got["kappa"] == pytest.approx(cohen_kappa_score(first, second)) and got["low"] < got["kappa"] < got["high"]
    assert got["doubled"] == 60 == sum(p["n"] for p in got["pairs"]) and got["agree"] == (first == second).sum()


def test_what_pairs_do_not_define_is_null():
    assert agreement([]) is None
    assert agreement([("sound", "noise"), ("noise", "noise")] * (LEAST // 2 - 1))["kappa"] is None
    assert agreement([("sound", "sound")] * 50)["kappa"] is None  # whoever always says the same agrees by chance too
    whole = agreement([("sound", "sound"), ("noise", "noise")] * (LEAST // 2))
    assert whole["kappa"] == 1 == whole["high"] and whole["low"] < 0.7  # twenty alike prove no perfect agreement


@pytest.mark.parametrize("error", [0.02, 0.1, 0.25])
def test_the_interval_holds_kappa(error):
    """Two readers who err alike: nominal .95, exact intervals are on the wide side."""
    rng = np.random.default_rng(2)
    reads = (1 - error) * np.eye(3) + error / 3
    joint = sum(m * np.outer(reads[t], reads[t]) for t, m in enumerate((0.7, 0.2, 0.1)))
    chance = joint.sum(0) @ joint.sum(1)
    truth = (np.trace(joint) - chance) / (1 - chance)
    held = []
    for _ in range(400):
        drawn = rng.choice(9, 40, p=joint.ravel())
        got = agreement([(LABELS[i // 3], LABELS[i % 3]) for i in drawn])
        held.append(got["low"] <= truth <= got["high"] + 1e-9)
    assert np.mean(held) >= 0.94

"""A cut of evals/benchmarks/planted.py: the sieves on worlds whose truth is known. The full run is behind --full there."""

import sys

import numpy as np
import pytest

from tests.end_to_end.worlds import ROOT

BENCHMARKS = str(ROOT / "evals/benchmarks")


@pytest.fixture(scope="module")
def planted():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import planted
        import planted_worlds

        patch.setattr(planted_worlds, "USERS", 600)
        patch.setattr(planted, "CHALLENGERS", 3)
        yield planted
    for name in ("planted", "planted_worlds", "adversaries"):
        del sys.modules[name]


def test_the_scripted_model_tells_as_much_of_the_truth_as_its_instruction_says(planted):
    truth = np.random.default_rng(0).normal(size=(400, 6))
    truth /= np.linalg.norm(truth, axis=1, keepdims=True)
    lm = planted.worlds.ScriptedLM(truth, 1)

    def told(share, draft):
        return lm.write(planted.instruction(share, draft))[0].matrix

    for share in (0.0, 0.5, 0.9):
        assert np.mean((told(share, 0) * truth).sum(axis=1)) == pytest.approx(share, abs=0.06)
    assert (told(0.5, 0) == told(0.5, 0)).all() and (told(0.5, 0) != told(0.5, 1)).any()
    alike = np.sum((told(0.0, 0) * told(0.0, 1)), axis=1)
    assert np.mean(alike) == pytest.approx(planted.worlds.COMMON, abs=0.06)  # it errs alike in all of its prompts


def test_a_much_better_prompt_is_found_among_the_others_and_promoted(planted):
    made = planted.one_world("kitchen", None, 1, 1.0, 0)
    assert made.promoted == [0] and made.p[0] < 0.025 and made.delta[0] > 0


def test_the_study_counts_every_world_and_says_what_it_promised(planted, monkeypatch):
    """Seeded; how often equal prompts are promoted at all is for the full run to say."""
    monkeypatch.setitem(planted.LADDER, "kitchen", {0.25: 1.0})
    found = planted.study("kitchen", None, 2, 1, 1)
    assert (found["level"], found["null_comparisons"], found["false_promotions"]) == (0.05, 2 * (3 + 2), 0)
    null, better = found["ladder"]
    assert (null["relative_effect"], null["worlds"]) == (0, 2)
    assert (better["worlds"], better["promoted_right"], better["best_on_tune_a"]) == (1, 1, 1)
    assert better["predicted_power"] <= better["predicted_power_users_only"] > 0.5
    assert "| +25% | 1 | 100% | 100%" in planted.table(found)


def test_prompts_that_play_the_gate_never_win_where_an_honest_one_does(planted, tmp_path):
    played = {p["prompt"]: p for p in planted.adversaries(tmp_path)}
    assert played["knows"]["promoted"] and "promoted" in played.pop("knows")["note"]
    assert set(played) == {
        "copies the title", "tells nothing", "games the gate", "refuses hard cases", "refuses all", "leaks the future",
    }  # fmt: skip
    assert not any(p["promoted"] for p in played.values())
    assert "after history ends" in played["leaks the future"]["note"]
    assert played["games the gate"]["accepted"] > 0.8 and played["refuses all"]["accepted"] == 0

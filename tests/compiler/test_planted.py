"""A cut of evals/benchmarks/planted.py: the sieves on worlds whose truth is known. The full run is behind --full there."""

import importlib.util
import sys

import numpy as np
import pytest

from tests.end_to_end.worlds import ROOT


@pytest.fixture(scope="module")
def planted():
    spec = importlib.util.spec_from_file_location("planted", ROOT / "evals/benchmarks/planted.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["planted"] = module
    spec.loader.exec_module(module)
    module.USERS, module.CHALLENGERS = 600, 3
    return module


def test_the_scripted_model_tells_as_much_of_the_truth_as_its_instruction_says(planted):
    truth = np.random.default_rng(0).normal(size=(400, 6))
    truth /= np.linalg.norm(truth, axis=1, keepdims=True)
    lm = planted.ScriptedLM(truth, 1)

    def told(share, draft):
        return lm.write(planted.instruction(share, draft))[0].matrix

    for share in (0.0, 0.5, 0.9):
        assert np.mean((told(share, 0) * truth).sum(axis=1)) == pytest.approx(share, abs=0.06)
    assert (told(0.5, 0) == told(0.5, 0)).all() and (told(0.5, 0) != told(0.5, 1)).any()


def test_a_much_better_prompt_is_found_among_the_others_and_promoted(planted):
    made = planted.one_world("kitchen", None, 1, 1.0, 0)
    assert made.promoted == [0] and made.p[0] < 0.025


def test_equal_prompts_are_not_promoted(planted):
    """Two seeded worlds; how often it happens at all is for the full run to say."""
    made = planted.run_worlds("kitchen", None, range(20, 22), None, 1, 1, lambda line: None)
    assert [o.promoted for o in made] == [[], []]


def test_prompts_that_play_the_gate_never_win(planted, tmp_path):
    """That a better prompt does win is held above and in test_promotion.py."""
    played = {p["prompt"]: p for p in planted.adversaries(tmp_path)}
    played.pop("knows")
    assert set(played) == {"copies the title", "tells nothing", "refuses hard cases", "leaks the future"}
    assert not any(p["promoted"] for p in played.values())
    assert "after history ends" in played["leaks the future"]["note"]

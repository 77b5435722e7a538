"""The reranker: texts longer than the model, places without an item, and checkpoints that are half there."""

import numpy as np
import pytest

from tokenrec.models.bi_encoder import TrainSettings, last
from tokenrec.models.cross_encoder import fit_cross_encoder, reranked
from tokenrec.ranking.retrieval import Top
from tokenrec.tasks.pairs import Pairs


def test_a_length_past_the_models_places_and_a_place_without_an_item_do_no_harm(tmp_path):
    pytest.importorskip("datasets", reason="training a retriever needs tokenrec[retrieval]")
    from tokenrec.encoders.encoder import _bundled

    items = ["rice " * 400, "beans " * 400, ""]
    pairs = Pairs(["something with rice"], ["u"], np.zeros(1, np.int32), np.zeros(1, np.int32))
    settings = TrainSettings(length=2000, layers=1, epochs=1, batch=2)
    of_held = np.array([[1, 0, -1]], np.int32)
    looks = fit_cross_encoder(
        _bundled().path, pairs, pairs, items, np.ones((1, 1), np.int32), of_held, settings, tmp_path
    )
    assert looks and 0 < looks[-1] <= 1
    top = Top(of_held, np.array([[0.9, 0.8, np.nan]], np.float32))
    found = reranked(lambda asked: top, tmp_path / "model", items, 500, 2000)(pairs.texts)
    assert sorted(found.item[0].tolist()) == [-1, 0, 1] and found.item[0, -1] == -1


def test_half_a_checkpoint_is_none(tmp_path):
    for step, files in ((4, ["trainer_state.json", "model.safetensors"]), (8, ["trainer_state.json"]), (12, ["model.safetensors"])):
        (tmp_path / f"checkpoint-{step}").mkdir()
        for name in files:
            (tmp_path / f"checkpoint-{step}" / name).write_text("")
    assert last(tmp_path) == str(tmp_path / "checkpoint-4")

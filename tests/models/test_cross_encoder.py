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


def test_it_learns_to_read_a_request_and_an_item_together(tmp_path):
    pytest.importorskip("datasets", reason="training a retriever needs tokenrec[retrieval]")
    from tokenrec.encoders.encoder import _bundled

    how = ("red", "green", "spicy", "sweet", "sour", "cold", "fried", "baked")
    what = ("soup", "cake", "salad", "curry", "bread", "rice", "pie", "bun")
    items = [f"{a} {b}, served with herbs" for a in how for b in what]
    texts = [f"something {a}, maybe a {b}" for a in how for b in what]
    draw = np.random.default_rng(0)
    learnt, held = np.split(draw.permutation(len(items)), [48])
    others = [np.setdiff1d(np.arange(len(items)), [i]) for i in range(len(items))]

    def pairs(of):
        n = np.arange(len(of), dtype=np.int32)
        return Pairs([texts[i] for i in of], [str(i) for i in of], n, of.astype(np.int32))

    negatives = np.array([draw.choice(others[i], 4, replace=False) for i in learnt])
    shown = np.array([[*draw.choice(others[i], 19, replace=False), i] for i in held], np.int32)
    settings = TrainSettings(length=32, epochs=8, every=960, patience=9, learning_rate=1e-4)
    looks = fit_cross_encoder(_bundled().path, pairs(learnt), pairs(held), items, negatives, shown, settings, tmp_path)
    assert max(looks) > 0.7, looks  # at random .23


def test_half_a_checkpoint_is_none(tmp_path):
    for step, files in ((4, ["trainer_state.json", "model.safetensors"]), (8, ["trainer_state.json"]), (12, ["model.safetensors"])):
        (tmp_path / f"checkpoint-{step}").mkdir()
        for name in files:
            (tmp_path / f"checkpoint-{step}" / name).write_text("")
    assert last(tmp_path) == str(tmp_path / "checkpoint-4")

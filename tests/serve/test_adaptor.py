"""A ranker with KAR's adaptor: what it learnt is saved without pickle, and serves the scores that were measured."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.end_to_end.worlds import RECIPE, answers, dishes, project, tokenrec, write
from tokenrec.compiler.session import open_session
from tokenrec.dataset.lists import make_lists
from tokenrec.dataset.types import FIT, TEST
from tokenrec.errors import InputError
from tokenrec.recipe.load import load_recipe
from tokenrec.serve.server import columns_of, open_server, score_lists

SMALL = "{dedicated: 1, shared: 1, hidden: 8, out: 4, epochs: 3, folds: 2}"
ADAPTED = RECIPE.replace("negatives: 10}", f"negatives: 10, adaptor: {SMALL}}}")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    root = tmp_path_factory.mktemp("adapted")
    recipe = project(root, items=dishes(24), recorded=answers(dishes(26)), recipe=ADAPTED)
    code, document, said = tokenrec("compile", recipe)
    assert code == 0, said
    return recipe, document


def test_what_is_served_scores_as_what_was_measured(shop):
    recipe, _ = shop
    server = open_server(load_recipe(recipe))
    assert set(server.ranker.adapted) == {"raw_text", "menu_line"}  # tags have no text to adapt
    lists = make_lists(server.dataset, TEST)
    names = [name for block in columns_of(server, lists) for name in block.names]
    assert {"raw_text.adapted", "raw_text.match", "menu_line.adapted", "menu_line.match"} <= set(names)
    assert not [n for n in names if n.startswith(("flavour.adapted", "palate.adapted"))]
    measured = pq.read_table(recipe.parent / ".tokenrec/scores-small.parquet")["raw_text+tokens"].to_numpy()
    assert np.abs(score_lists(server, lists) - measured).max() < 1e-5 and np.ptp(measured) > 0.5


def test_no_pickle_and_every_number_is_the_recipes(shop):
    recipe, _ = shop
    folder = recipe.parent / ".tokenrec/ranker-small"
    files = {p.suffix for p in folder.iterdir()}
    assert files == {".ubj", ".json", ".safetensors"} and len(list(folder.glob("*.safetensors"))) == 8  # 2 texts, 2 x 2 folds
    settings = json.loads((folder / "menu_line-1.json").read_text())["settings"]
    assert (settings["dedicated"], settings["hidden"], settings["out"], settings["epochs"]) == (1, 8, 4, 3)
    broken = (folder / "menu_line-1.safetensors").read_bytes()
    (folder / "menu_line-1.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match="menu_line-1"):
        open_server(load_recipe(recipe))
    (folder / "menu_line-1.safetensors").write_bytes(broken)


def test_a_new_item_is_adapted_too(shop, tmp_path):
    recipe, _ = shop
    write(tmp_path / "new.json", json.dumps(dishes(25)[24], ensure_ascii=False))
    code, document, said = tokenrec("recommend", recipe, "--item", tmp_path / "new.json")
    assert code == 0 and document["users"], said


def test_without_it_nothing_is_learnt(tmp_path):
    recipe = project(tmp_path, recipe=RECIPE)
    session = open_session(load_recipe(recipe), "run")
    assert session.recipe.ranker.adaptor is None and session.adaptor_of([]) is None


def test_a_text_is_learnt_from_once_whatever_asks(shop):
    from tokenrec.compiler.session import embed_items

    session = open_session(load_recipe(shop[0]), "run")
    embed_items(session, lambda done, total: None)
    session.make_lists()
    first = session.block("raw_text", FIT, [session.raw])
    again, later = session.block("challenger", FIT, [session.raw]), session.block("challenger", TEST, [session.raw])
    assert len(session.adapted) == 1 and np.array_equal(first.matrix, again.matrix, equal_nan=True)
    assert later.names[-2:] == ["challenger.adapted", "challenger.match"]


def test_the_curve_measures_the_same_columns(shop):
    recipe, compiled = shop
    code, document, said = tokenrec("curve", recipe, "--on", "test", "--task", "menu_line")
    assert code == 0, said
    lift = next(r["lift"] for r in compiled["leaderboard"] if r["task"] == "menu_line")
    assert document["tasks"][0]["points"][-1]["lift"] == pytest.approx(lift, abs=1e-9)

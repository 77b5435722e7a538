"""A retriever that learns from written requests: trained by compile, kept, told apart by eval, gone when a user is forgotten."""

import json
import shutil
from dataclasses import replace

import pytest

from tests.end_to_end.test_main_job import holds
from tests.end_to_end.test_narrative import DATA, TASKS, say
from tests.end_to_end.worlds import dishes, meals, project, store, tokenrec, write
from tokenrec.compiler.retriever import _once, check_packages
from tokenrec.dataset.load import load_dataset
from tokenrec.errors import InputError, ServiceError
from tokenrec.ranking.trained import read_about
from tokenrec.recipe.load import load_recipe
from tokenrec.recipe.retriever import Retriever
from tokenrec.store.store import open_store
from tokenrec.tasks.inputs import prompts
from tokenrec.tasks.pairs import request_pairs
from tokenrec.tasks.spec import task_spec

pytest.importorskip("datasets", reason="training a retriever needs tokenrec[retrieval]")
RETRIEVER = """\
retriever: {from: [craving, asking], keep: {by: encoder}, layers: 1, length: 32, pairs: 64, batch: 16, every: 32, epochs: 1, held: 0.3}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Requests that name an ingredient of each dish: there is something to learn."""
    root = tmp_path_factory.mktemp("retriever")
    items = dishes(100)
    tasks = TASKS.replace("subjects: {most: 12, order: popular}", "subjects: {most: 120, order: popular}")
    path = project(root, items=items, events=meals(items), recorded=[], recipe=DATA + tasks + RETRIEVER)
    named = {i["dish_id"]: i for i in items}
    said = [{"who": u, "dish": d, "at": t, "rating": v, "said": f"{u} liked the {named[d]['name']} of day {t}."} for u, d, t, v in meals(items)]
    write(root / "data/reviews.jsonl", "".join(json.dumps(r) + "\n" for r in said))
    asked = "".join(f'"something with {i["ingredients"][0]} and {i["ingredients"][-1]}",{i["dish_id"]},1\n' for i in items[1:30:3])
    write(root / "data/requests.csv", "request,dish,grade\n" + asked)
    loaded, tape = load_recipe(path), []
    data = load_dataset(loaded.recipe, loaded.folder)
    for p in prompts(loaded.recipe, data, task_spec(loaded.recipe, "asking"), {}):
        made = named[p.subject]["ingredients"]
        words = f"{say(len(tape))} With {made[0]}, {made[len(made) // 2]} and {made[-1]}."
        tape.append({"task": "asking", "subject": p.subject, "output": {"query": words}})
    for p in prompts(loaded.recipe, data, task_spec(loaded.recipe, "craving"), {}):
        liked = [line.split(":")[0].split()[-1] for line in p.inputs["liked"]]
        words = f"{say(len(tape))} As good as {', '.join(liked)}."
        tape.append({"task": "craving", "subject": p.subject, "output": {"query": words}})
    write(root / "tape.jsonl", "".join(json.dumps(r) + "\n" for r in tape))
    code, document, said = tokenrec("compile", path)
    assert code == 0, said
    return root, path, document


def test_compile_says_what_it_learnt_and_what_it_is_worth(world):
    root, _, document = world
    holds(document)
    found = document["retriever"]
    assert found, document["notes"]
    assert found["learnt_from"] == 64 and found["keep"] == "encoder" and found["owners"] >= 20
    systems = {r["system"] for r in found["systems"]}
    assert systems == {"bm25", "encoder", "rrf", "trained", "placebo", "trained_rrf"}
    assert {(r["system"], r["against"]) for r in found["paired"]} == {("trained", "encoder"), ("trained", "placebo"), ("trained_rrf", "rrf")}
    assert all(len(looks) == 3 and all(0 <= x <= 1 for x in looks) for looks in found["looks"].values())
    assert "raw_text+retriever" in {a["arm"] for a in document["arms"]}, "what learnt from history alone may feed the ranker"
    folder = root / ".tokenrec" / f"retriever-{document['recipe']}"
    files = {p.suffix for p in folder.rglob("*") if p.is_file()}
    assert files <= {".json", ".safetensors", ".txt"}, "no pickle, no checkpoint"


def test_an_unchanged_second_run_trains_nothing(world):
    root, path, document = world
    weights = [p for p in root.rglob("*.safetensors") if "retriever" in str(p)]
    before = {p: p.stat().st_mtime_ns for p in weights}
    code, again, said = tokenrec("compile", path)
    assert code == 0 and again["retriever"] == document["retriever"], said
    assert len(before) == 2 and {p: p.stat().st_mtime_ns for p in weights} == before


def test_plan_says_whether_compile_would_train(world, tmp_path):
    root, path, _ = world
    shutil.copytree(root, tmp_path / "copy")
    recipe = tmp_path / "copy" / path.relative_to(root)
    for change, trains in (("pairs: 64", False), ("pairs: 63", True)):
        write(recipe, path.read_text().replace("pairs: 64", change))
        code, found, said = tokenrec("plan", recipe)
        assert code == 0, said
        holds(found)
        assert any("it is not trained" in n for n in found["notes"]) == trains


def test_a_full_disk_is_said_so_and_leaves_what_is_gone_on_from(tmp_path):
    def full(to):
        raise OSError(28, "No space left on device")

    with pytest.raises(ServiceError, match="No space left.*Make room"):
        _once(tmp_path, full)
    assert _once(tmp_path, lambda to: [0.5]) == [0.5] and _once(tmp_path, full) == [0.5]


def test_packages_that_training_needs_are_asked_for_before_anything_is_written(monkeypatch):
    monkeypatch.setattr("tokenrec.compiler.retriever.find_spec", lambda name: None if name == "gguf" else 1)
    check_packages(None)
    check_packages(Retriever.model_validate({"from": ["craving"], "keep": {"by": "encoder"}}))
    with pytest.raises(InputError, match="needs gguf"):
        check_packages(Retriever.model_validate({"from": ["craving"]}))


def test_a_killed_training_keeps_what_is_done(world, tmp_path):
    root, path, document = world
    shutil.copytree(root, tmp_path / "copy")
    folder = tmp_path / "copy/.tokenrec" / f"retriever-{document['recipe']}"
    (folder / "retriever.json").unlink()
    (folder / document["retriever"]["id"][:16]).mkdir()
    shutil.rmtree(folder / "placebo")
    kept = (folder / "trained/model/model.safetensors").stat().st_mtime_ns
    code, again, said = tokenrec("compile", tmp_path / "copy" / path.relative_to(root))
    assert code == 0, said
    assert (folder / "trained/model/model.safetensors").stat().st_mtime_ns == kept
    assert again["retriever"]["looks"]["trained"] == document["retriever"]["looks"]["trained"]
    assert (folder / "placebo/model/model.safetensors").is_file()


def test_eval_ranks_peoples_requests_by_it_too(world):
    code, document, said = tokenrec("eval", world[1])
    assert code == 0, said
    holds(document)
    assert {"trained", "placebo", "trained_rrf"} <= {r["system"] for r in document["queries"]["systems"]}


def test_recommend_takes_it_only_where_it_is_proved(world, tmp_path):
    root, path, document = world
    shutil.copytree(root, tmp_path / "copy")
    about = tmp_path / "copy/.tokenrec" / f"retriever-{document['recipe']}/retriever.json"
    for serves in (True, False):
        about.write_text(json.dumps(document["retriever"] | {"serves": serves}))
        code, found, said = tokenrec("recommend", tmp_path / "copy" / path.relative_to(root), "something with rice")
        assert code == 0, said
        assert found["likened_by"].startswith("retriever-trained@") == serves


@pytest.mark.parametrize("old, new, why", [
    ("from: [craving, asking]", "from: [cravin]", "cravin is no task of this recipe"),
    ("from: [craving, asking]", "from: [asking, craving, asking]", "asking stands there twice"),
    ("keep: {by: encoder}", "keep: {model: tape}", "tape is of kind replay"),
    ("keep: {by: encoder}", "keep: {model: nobody}", "nobody"),
    ("lm: {", "lm: {encoder: small, ", "small is a GGUF, which retriever: can't train"),
])
def test_what_cannot_be_trained_is_refused_before_anything_is_asked(world, tmp_path, old, new, why):
    root, path, _ = world
    text = path.read_text()
    assert old in text
    shutil.copytree(root, tmp_path, ignore=shutil.ignore_patterns(".tokenrec"), dirs_exist_ok=True)
    write(tmp_path / "tokenrec.yaml", (root / "tokenrec.yaml").read_text() + "  small: {kind: embedded}\n")
    write(tmp_path / "recipe.yaml", text.replace(old, new))
    code, _, said = tokenrec("recipe", "check", tmp_path / "recipe.yaml")
    assert code == 2 and why in said, said


def test_weights_that_are_gone_are_trained_anew(world, tmp_path):
    root, path, document = world
    shutil.copytree(root, tmp_path / "copy")
    folder = tmp_path / "copy/.tokenrec" / f"retriever-{document['recipe']}"
    shutil.rmtree(folder / "trained/model")
    code, again, said = tokenrec("compile", tmp_path / "copy" / path.relative_to(root))
    assert code == 0, said
    assert (folder / "trained/model/model.safetensors").is_file() and again["retriever"]["serves"] in (True, False)
    db = store(tmp_path / "copy")
    kept = [r[0] for r in db.execute("select distinct encoder_id from vectors where encoder_id like 'retriever-trained%'")]
    assert len(kept) == 1, "vectors of the model before are gone"


def test_a_retriever_left_from_requests_that_no_longer_stand_feeds_no_arm(world, tmp_path):
    """It may have learnt from all windows, and there are too few requests to learn anew."""
    root, path, document = world
    shutil.copytree(root, tmp_path / "copy")
    recipe = tmp_path / "copy" / path.relative_to(root)
    write(recipe, recipe.read_text().replace("from: [craving, asking]", "from: [craving]").replace("held: 0.3", "held: 0.05"))
    code, again, said = tokenrec("compile", recipe)
    assert code == 0, said
    assert again["retriever"] is None and any("nothing is trained" in n for n in again["notes"])
    assert "raw_text+retriever" not in {a["arm"] for a in again["arms"]}


def test_peoples_own_requests_are_learnt_from_in_the_lms_place_and_one_for_everything_is_not(world, tmp_path):
    root, path, _ = world
    shutil.copytree(root, tmp_path / "copy")
    recipe = tmp_path / "copy" / path.relative_to(root)
    first = dishes(1)[0]["dish_id"]
    own = {"subject": first, "output": {"query": "Something of my own, please."}}
    write(recipe.parent / "own.jsonl", json.dumps(own) + "\n")
    write(recipe, recipe.read_text().replace("  asking:\n", "  asking:\n    overrides: own.jsonl\n"))
    loaded = load_recipe(recipe)
    data, db = load_dataset(loaded.recipe, loaded.folder), open_store(loaded.project.store)
    found = request_pairs(db, loaded.recipe, loaded.folder, data, ["asking"])
    assert found.texts[found.owner.index(f"item {first}")] == "Something of my own, please."
    alone = replace(data, item_ids=data.item_ids[:1], items=data.items[:1])
    assert len(request_pairs(db, loaded.recipe, loaded.folder, alone, ["asking"])) == 0
    db.conn.close()


def test_forgetting_a_user_deletes_what_learnt_of_them(world):
    """Last of all: it changes the store."""
    root, path, document = world
    folder = root / ".tokenrec" / f"retriever-{document['recipe']}"
    assert read_about(folder)
    code, found, said = tokenrec("forget", path, "u005", "--yes")
    assert code == 0, said
    holds(found)
    assert not folder.exists() and any(f["file"] == folder.name for f in found["files"])
    assert not store(root).execute("select 1 from vectors where encoder_id like 'retriever-%'").fetchall()

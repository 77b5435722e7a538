"""The search through the public door: a served model that is good when its instruction says so, and a reflector."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from tests.compiler.worlds import RECIPE, TASTES, arrivals, menu, truth
from tests.end_to_end.server import hash_of, serving
from tests.end_to_end.worlds import dishes, project, store, tokenrec, write
from tokenrec.ids import unit_hash

ROOT = Path(__file__).parents[2]
COMPILE = "compile: {tasks: [flavour], optimizer: gepa, candidates: 2, budget: {calls: 300}}"


def writes(text: str) -> str:
    """It tells the truth about a dish where its instruction says "well", else it often guesses; asked to reflect, it
    finds such an instruction."""
    if "new_instruction" in text:
        return json.dumps({"new_instruction": f"Judge well which taste the dish has. ({hash_of(text) % 9})"})
    name = re.findall(r"\[\[ ## name ## \]\]\n(.*)", text)[-1].strip()
    sure = " well " in text or unit_hash("lucky", name) < 0.3
    return json.dumps({"taste": TASTES[truth(name) if sure else int(unit_hash("guess", name) * len(TASTES))]})


def made(root: Path, url: str) -> Path:
    """A project whose diners eat what is new and has their taste: nothing but its text tells of a new dish."""
    items = menu(600)
    recipe = RECIPE.replace("lm: {writer: WRITER}", "lm: {writer: WRITER, reflector: served}")
    recipe = re.sub("compile: .*", COMPILE, recipe)
    models = f"{{kind: api, model: openai/small, api_base: '{url}', price: {{input: 2, output: 8}}}}"
    return project(root, items=items, events=arrivals(items, 700), recorded=[], recipe=recipe, writer="served",
                   models=models)  # fmt: skip


def valid(document: dict) -> dict:
    schema = ROOT / f"tokenrec/report/schemas/{document['kind']}.schema.json"
    jsonschema.validate(document, json.loads(schema.read_text(encoding="utf-8")))
    return document


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """(root, recipe, document, requests) of a compile that GEPA searched; and what `--check` said before it."""
    root = tmp_path_factory.mktemp("gepa")
    with pytest.MonkeyPatch.context() as patch, serving(writes) as served:
        patch.setenv("OPENAI_API_KEY", "none")
        recipe = made(root, served.url)
        assert tokenrec("compile", recipe, "--check")[0] == 1
        code, document, said = tokenrec("compile", recipe, "--force")
        assert code == 0, said
        yield root, recipe, valid(document), served.requests


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")


def test_a_strong_reflector_finds_an_instruction_that_wins(compiled):
    root, recipe, document, requests = compiled
    [search], [test] = document["searches"], document["promotions"]
    assert search["scores"][0] > search["incumbent_score"] + 0.05
    assert search["lite_challenger"] > search["lite_incumbent"] and test["delta"] > 0.03, search
    assert test["promoted"] and test["p"] < test["alpha"], test
    spent = dict(store(root).execute("select purpose, sum(calls) from spend group by 1").fetchall())
    assert 0 < spent["reflect"] < 20 and spent["search"] + spent["reflect"] <= 300
    assert sum(spent.values()) == len(requests) == document["lm_calls"]
    code, cost, _ = tokenrec("cost", recipe)
    assert code == 0 and valid(cost)["total"]["calls"] == len(requests) and not cost["unrecorded"]["calls"]
    assert sum(r["calls"] for r in cost["rows"]) == len(requests) - spent["reflect"]


def test_the_reflector_is_told_of_lists_words_and_data_that_is_fenced(compiled):
    root, _, _, requests = compiled
    told = [m["content"] for b in requests for m in b["messages"] if "Feedback" in str(m["content"])]
    assert told and all("<data>" in t and "users liked this item later" in t for t in told)
    assert any("above it stands <data>" in t for t in told) and any("share: <data>" in t for t in told)
    assert not any(re.search(r"\bu\d{3}\b", t) for t in told)  # no user goes by an id


def test_diff_shows_both_prompts_and_what_is_known_of_them(compiled, capsys):
    root, recipe, _, requests = compiled
    asked = len(requests)
    code, document, _ = tokenrec("diff", recipe)
    [task] = valid(document)["tasks"]
    assert code == 0 and task["status"] == "promoted" and task["changed"] == ["instructions"]
    assert task["old"]["predictors"]["write"]["instructions"] == "Guess."
    assert "well" in task["new"]["predictors"]["write"]["instructions"]
    evidence = task["evidence"]
    assert evidence["delta"] > 0 and evidence["p"] < evidence["alpha"] and evidence["lite_new"] > evidence["lite_old"]
    assert task["cost"]["new"]["answers"] == task["cost"]["old"]["answers"] == 600
    from tokenrec.cli.main import run

    assert run(["diff", str(recipe), "flavour"]) == 0
    shown = capsys.readouterr().out
    assert "Guess." in shown and "promotion on tune-B: +" in shown and "600 answers stored" in shown
    assert tokenrec("diff", recipe, "nothing")[0] == 2
    (root / ".tokenrec/store.db").rename(root / "store.away")  # a fresh clone: the lock alone speaks
    try:
        code, document, _ = tokenrec("diff", recipe)
        [alone] = valid(document)["tasks"]
        assert code == 0 and (alone["status"], alone["old"], alone["new"]) == ("promoted", task["old"], task["new"])
        assert alone["evidence"]["delta"] == pytest.approx(evidence["delta"], abs=1e-6)
    finally:
        (root / "store.away").rename(root / ".tokenrec/store.db")
    assert len(requests) == asked


def test_diff_of_an_edited_task_shows_what_was_compiled_beside_the_recipe(compiled, capsys):
    from tokenrec.cli.main import run

    root, recipe, _, _ = compiled
    compiled_prompt = tokenrec("diff", recipe)[1]["tasks"][0]["new"]
    kept = recipe.read_text(encoding="utf-8")
    try:
        write(recipe, kept.replace("Guess.", "Name its taste."))
        code, document, _ = tokenrec("diff", recipe)
        [task] = valid(document)["tasks"]
        assert run(["diff", str(recipe)]) == 0
    finally:
        write(recipe, kept)
    assert code == 0 and (task["status"], task["evidence"], task["changed"]) == ("edited", None, ["instructions"])
    assert task["old"] == compiled_prompt and task["cost"]["old"]["answers"] == 600 and task["cost"]["new"] is None
    assert task["new"]["predictors"]["write"]["instructions"] == "Name its taste."
    shown = capsys.readouterr().out
    assert shown.count("≠") == 1  # the examples are the same, in whatever order a file has their fields
    assert "edited since it was compiled" in shown and "Name its taste." in shown and "well" in shown


CHANGES = {  # what a compiled program is stale for, each alone
    "other data": ("data/events.csv", lambda text: text + f"u000,{dishes(1)[0]['dish_id']},301,5\n"),
    "another objective": ("recipe.yaml", lambda text: text + "objective: {metric: mrr@5}\n"),
    "an earlier version of this task": ("recipe.yaml", lambda text: text.replace("Guess.", "Guess again.")),
    "another version of the recipe": ("recipe.yaml", lambda text: text.replace("negatives: 20", "negatives: 21")),
    "not compiled for openai/other": ("recipe.yaml", lambda text: text.replace("writer: served", "writer: openai/other")),
}


@pytest.mark.parametrize("why", CHANGES)
def test_check_says_what_is_stale_and_writes_nothing(compiled, why):
    root, recipe, _, requests = compiled
    asked = len(requests)
    file, change = CHANGES[why]
    kept = (root / file).read_text(encoding="utf-8")
    code, document, _ = tokenrec("compile", recipe, "--check")
    assert code == 0 and not valid(document)["stale"] and document["programs"][0]["stale_because"] == []
    try:
        write(root / file, change(kept))
        before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
        code, document, said = tokenrec("compile", recipe, "--check")
        assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == before
    finally:
        write(root / file, kept)
    assert code == 1 and why in " ".join(valid(document)["programs"][0]["stale_because"]), said
    assert len(requests) == asked


def test_a_lock_is_small_and_in_order(compiled):
    root, _, _, _ = compiled
    [path] = (root / "programs/compiled/tasty").glob("*.json")
    text = path.read_text(encoding="utf-8")
    assert len(text) < 4000 and text == json.dumps(json.loads(text), indent=1, ensure_ascii=False, sort_keys=True) + "\n"

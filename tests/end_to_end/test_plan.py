"""`tokenrec plan` says beforehand what compile then does, asks nothing, and leaves every file as it was."""

import json
import shutil
import sqlite3

import jsonschema
import pytest

from tests.end_to_end.server import serving
from tests.end_to_end.worlds import RECIPE, ROOT, lend_vectors, project, tokenrec, write

TASKS = ["flavour", "menu_line", "palate"]


def files(root) -> dict[str, bytes]:
    """Everything but SQLite's index of who reads (-shm), which is there while another process has the store open."""
    found = [p for p in root.rglob("*") if p.is_file() and not p.name.endswith("-shm")]
    return {str(p.relative_to(root)): p.read_bytes() for p in found}


def plan(recipe, *args) -> dict:
    """The document, after a look that it holds to its schema and that no file has changed."""
    before = files(recipe.parent)
    code, document, said = tokenrec("plan", recipe, *args)
    assert code == 0, said
    assert files(recipe.parent) == before
    schema = ROOT / "tokenrec/report/schemas/plan.schema.json"
    jsonschema.validate(document, json.loads(schema.read_text(encoding="utf-8")))
    assert [t["task"] for t in document["tasks"]] == TASKS
    assert document["total"]["calls"] == sum(calls(document))
    return document


def calls(document) -> list[int]:
    return [t["calls"] for t in document["tasks"]]


def reasons(document) -> list[list[str]]:
    return [t["stale_because"] for t in document["tasks"]]


def compiled(recipe, *args) -> dict:
    code, document, said = tokenrec("compile", recipe, *args)
    assert code == 0, said
    return document


def agree(planned: dict, document: dict) -> None:
    """What was planned was done."""
    assert calls(planned) == [t["lm_calls"] for t in document["tasks"]]
    assert planned["smallest_detectable_lift"] == document["smallest_detectable_lift"]
    assert planned["lists"] == document["lists"]


def edit(recipe, old: str, new: str) -> None:
    text = recipe.read_text(encoding="utf-8")
    assert old in text
    write(recipe, text.replace(old, new))


def edit_dish(root, n: int = 3) -> None:
    lines = (root / "data/dishes.jsonl").read_text(encoding="utf-8").splitlines()
    dish = json.loads(lines[n])
    lines[n] = json.dumps({**dish, "name": dish["name"] + " of the house"}, ensure_ascii=False)
    write(root / "data/dishes.jsonl", "\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def server():
    with serving() as served:
        yield served


def model(url: str, more: str = "") -> str:
    return f"{{kind: api, model: openai/small, api_base: '{url}'{more}}}"


@pytest.fixture(scope="module")
def done(tmp_path_factory, server, finished):
    """A project that a served model has written, with what was planned before and what was compiled."""
    root = tmp_path_factory.mktemp("done")
    recipe = project(root, writer="served", models=model(server.url, ", price: {input: 2, output: 8}"))
    lend_vectors(finished.root, root)
    planned = plan(recipe)
    assert not server.requests
    return recipe, planned, compiled(recipe)


@pytest.fixture
def recipe(done, tmp_path):
    """A copy of it that a test may change."""
    shutil.copytree(done[0].parent, tmp_path / "copy")
    return tmp_path / "copy/recipe.yaml"


def test_a_fresh_store_is_told_all_of_it(done):
    _, planned, document = done
    agree(planned, document)
    assert calls(planned) == [24, 24, 10] and not planned["nothing_to_do"]
    assert reasons(planned) == [["nothing written yet"]] * 3
    for task in planned["tasks"]:
        assert task["minutes"] is None and "characters / 4" in task["rests_on"]
        assert task["prompt_tokens"] > 50 * task["calls"] and task["completion_tokens"] == 60 * task["calls"]
        assert task["cost_usd"] == pytest.approx((task["prompt_tokens"] * 2 + task["completion_tokens"] * 8) / 1e6)


def test_further_answers_for_agreement_are_calls_too(recipe):
    closed = "outputs: {line: {type: text, max_words: 25, grounding: closed}}"
    edit(recipe, closed, closed.replace("closed", "open") + "\n    agreement: {samples: 2}")
    planned = plan(recipe)
    assert calls(planned) == [0, 72, 0] and planned["tasks"][1]["records"] == 24
    agree(planned, compiled(recipe))
    planned = plan(recipe)
    assert planned["nothing_to_do"] and planned["total"]["cost_usd"] == 0
    edit(recipe, "agreement: {samples: 2}", "agreement: {samples: 3}")  # those that there are stay
    assert calls(planned := plan(recipe)) == [0, 24, 0]
    agree(planned, compiled(recipe))
    code, cost, _ = tokenrec("cost", recipe)
    rows = {r["outcome"]: r["answers"] for r in cost["rows"] if r["task"] == "menu_line" and r["outcome"] == "agreement"}
    assert code == 0 and rows == {"agreement": 72}
    jsonschema.validate(cost, json.loads((ROOT / "tokenrec/report/schemas/cost.schema.json").read_text("utf-8")))


def test_without_a_store_none_is_made(tmp_path):
    recipe = project(tmp_path)
    assert calls(plan(recipe)) == [24, 24, 10]
    assert not (tmp_path / ".tokenrec").exists()


def test_after_a_compile_there_is_nothing_to_do(recipe, server):
    asked = len(server.requests)
    planned = plan(recipe)
    assert planned["nothing_to_do"] and calls(planned) == [0, 0, 0] and reasons(planned) == [[], [], []]
    assert planned["total"]["cost_usd"] == planned["total"]["minutes"] == 0
    edit(recipe, "ranker:", "eval: {fail_if: {noise_rate: '> 0.2'}}\nranker:")
    assert plan(recipe)["nothing_to_do"] and len(server.requests) == asked


def test_one_changed_dish_costs_what_shows_it(recipe, done):
    edit_dish(recipe.parent)
    planned = plan(recipe)
    assert reasons(planned)[:2] == [["1 new or changed record"], ["$flavour will be rewritten for 1 of 24 records"]]
    flavour = planned["tasks"][0]
    assert "stored answers" in flavour["rests_on"] and flavour["minutes"] is not None
    assert (flavour["prompt_tokens"], flavour["completion_tokens"]) == (100, 10)
    assert flavour["cost_usd"] == pytest.approx((100 * 2 + 10 * 8) / 1e6)
    document = compiled(recipe)
    agree(planned, document)
    assert calls(planned)[:2] == [1, 1] and planned["total"]["cost_usd"] == pytest.approx(document["cost_usd"])
    assert plan(recipe)["nothing_to_do"]


def test_what_a_cache_saved_before_it_saves_again(tmp_path, finished):
    """The first answer is asked of a cold cache, the others have 50 of 100 prompt LM tokens from it."""
    price = ", price: {input: 2, cached_input: 0.5, output: 8}"
    with serving() as server:
        server.cached = 50
        recipe = project(tmp_path, writer="served", models=model(server.url, price), more="concurrency: 1\n")
        lend_vectors(finished.root, tmp_path)
        before = plan(recipe)
        for task in before["tasks"]:
            assert task["rests_on"].endswith("an upper guess, as if the provider cached nothing")
            assert task["cost_usd"] == pytest.approx((task["prompt_tokens"] * 2 + task["completion_tokens"] * 8) / 1e6)
        compiled(recipe)
        edit_dish(tmp_path)
        flavour, line, _ = plan(recipe)["tasks"]
        assert "; 48% of their prompt came from" in flavour["rests_on"]  # 23 of 24 answers
        assert flavour["cost_usd"] == pytest.approx(((100 - 48) * 2 + 48 * 0.5 + 10 * 8) / 1e6, rel=0.01)
        # no menu line was asked of a cold cache: nothing says that the prices are those of then
        assert "upper guess" in line["rests_on"] and line["cost_usd"] == pytest.approx((100 * 2 + 10 * 8) / 1e6)
        edit(tmp_path / "tokenrec.yaml", "input: 2,", "input: 3,")
        flavour, *_ = plan(recipe)["tasks"]
        assert "upper guess" in flavour["rests_on"] and flavour["cost_usd"] == pytest.approx((100 * 3 + 10 * 8) / 1e6)


def test_a_changed_prompt_rewrites_what_reads_it(recipe):
    edit(recipe, "Say how it tastes.", "Say how it tastes, in a word or two.")
    planned = plan(recipe)
    assert reasons(planned) == [["the task's prompt changed"], ["$flavour will be rewritten"], ["$flavour will be rewritten"]]
    assert calls(planned) == [24, 24, 10]
    assert any("not used" in note for note in planned["notes"])  # the lock of the earlier prompt
    compiled(recipe)
    edit(recipe, "Say how it tastes, in a word or two.", "Say how it tastes.")
    back = plan(recipe)
    assert calls(back) == [0, 0, 0] and not back["nothing_to_do"]
    assert reasons(back)[0] == ["the task's prompt changed", "the answers are stored: no calls"]


def test_a_gate_alone_asks_nothing(recipe, server):
    edit(recipe, "write: A menu line.", "write: A menu line.\n    language: de")
    planned = plan(recipe)
    assert reasons(planned) == [[], ["gates changed: judged again, no calls"], []]
    assert calls(planned) == [0, 0, 0] and not planned["nothing_to_do"]
    asked = len(server.requests)
    agree(planned, compiled(recipe))
    assert len(server.requests) == asked and plan(recipe)["nothing_to_do"]


def test_a_dish_that_is_gone_is_judged_without(recipe):
    root = recipe.parent
    lines = (root / "data/dishes.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    write(root / "data/dishes.jsonl", "".join(lines[:-1]))
    planned = plan(recipe)
    assert reasons(planned)[0] == ["other records: judged again, no calls"]
    agree(planned, compiled(recipe))


@pytest.mark.parametrize(("old", "new", "why"), [
    ("write: A menu line.", "write: A menu line.\n    temperature: 0.4", "decode parameters changed"),
    ("write: A menu line.", "write: A menu line.\n    examples: [{name: Toast, ingredients: [bread], line: Toast.}]", "the task's examples changed"),
    ("max_words: 25", "max_words: 24", "the task's inputs or outputs changed"),
    ("max_words: 25", "max_words: 25, min_words: 2", "the task's outputs changed"),
    ("inputs: [name, ingredients, $flavour.taste]", "inputs: [name, ingredients]", "the task's inputs or outputs changed"),
])  # fmt: skip
def test_whatever_else_changed_is_named(recipe, old, new, why):
    edit(recipe, old, new)
    planned = plan(recipe)
    assert why in reasons(planned)[1] and calls(planned) == [0, 24, 0]


def test_edited_code_is_named(recipe):
    module = (
        "import dspy\nclass Line(dspy.Module):\n    def __init__(self, spec, writer):\n        super().__init__()\n"
        "    async def aforward(self, sample=0, **inputs):\n"
        "        return dspy.Prediction(line=inputs['ingredients'][0] + ' and more of it')\n"
    )
    write(recipe.parent / "mine.py", module)
    edit(recipe, "write: A menu line.", "use: ./mine.py:Line")
    compiled(recipe)
    assert plan(recipe)["nothing_to_do"]
    write(recipe.parent / "mine.py", module.replace("more of it", "plenty of it"))
    planned = plan(recipe)
    assert reasons(planned) == [[], ["the code of ./mine.py:Line or the task's outputs changed"], []]
    assert calls(planned) == [0, 24, 0]


def test_another_lm_is_named_and_an_unknown_price_is_null(recipe, server):
    text = (recipe.parent / "tokenrec.yaml").read_text(encoding="utf-8")
    write(recipe.parent / "tokenrec.yaml", text.replace("openai/small", "openai/large").replace(", price: {input: 2, output: 8}", ""))
    planned = plan(recipe)
    assert reasons(planned)[0] == ["another LM: openai/large instead of openai/small"]
    assert calls(planned) == [24, 24, 10] and planned["lm"] == "openai/large"
    assert [t["cost_usd"] for t in planned["tasks"]] == [None] * 3 and planned["total"]["cost_usd"] is None


def test_a_stopped_run_goes_on_with_the_rest(tmp_path, server, finished):
    recipe = project(tmp_path, writer="served", models=model(server.url), more="concurrency: 2\n")
    lend_vectors(finished.root, tmp_path)
    code, _, _ = tokenrec("compile", recipe, "--calls", "5")
    assert code == 3
    planned = plan(recipe)
    assert reasons(planned)[0] == ["19 records without an answer"] and calls(planned) == [19, 24, 10]
    agree(planned, compiled(recipe))


def test_a_budget_that_will_not_do_is_said(recipe):
    edit_dish(recipe.parent)
    edit(recipe, "ranker:", "budget: {calls: 1}\nranker:")
    assert any("budget.calls 1 will not do" in note for note in plan(recipe)["notes"])


def test_no_key_and_no_weights_are_needed(tmp_path, finished, monkeypatch):
    """The GGUF is none: whoever loaded it would fail."""
    monkeypatch.delenv("E2E_KEY", raising=False)
    recipe = project(tmp_path, writer="m", models=model("http://127.0.0.1:9/v1", ", api_key_env: E2E_KEY"))
    assert calls(plan(recipe)) == [24, 24, 10]
    write(tmp_path / "tokenrec.yaml", "models:\n  m: {kind: embedded, path: none.gguf}\n")
    write(tmp_path / "none.gguf", "no weights")
    planned = plan(recipe)
    assert planned["lm"] == "embedded/none@10" and calls(planned) == [24, 24, 10] and planned["total"]["cost_usd"] == 0
    assert planned["tasks"][0]["completion_tokens"] == 24  # scored: one LM token a field


def test_recordings_cost_nothing(finished, tmp_path):
    shutil.copytree(finished.root, tmp_path / "copy")
    recipe = tmp_path / "copy/recipe.yaml"
    assert plan(recipe)["nothing_to_do"]
    edit(recipe, "Say how it tastes.", "Say what it tastes of.")
    edit(recipe, "ranker:", "budget: {calls: 1}\nranker:")
    planned = plan(recipe)
    assert not any("will not do" in note for note in planned["notes"])
    assert calls(planned) == [24, 24, 10] and planned["total"]["cost_usd"] == planned["total"]["prompt_tokens"] == 0
    # the same tastes are played back, so that the prompts that show them are those that were answered
    assert [t["asked"] for t in compiled(recipe)["tasks"]] == [24, 0, 0]


def test_a_writer_that_no_task_asks_stops_no_plan(tmp_path):
    own = RECIPE.replace("    write:", "    writer: tape\n    write:").replace("WRITER", "dear") + "budget: {usd: 1}\n"
    recipe = project(tmp_path, recipe=own, more="  dear: {kind: api, model: openai/dear, api_base: 'http://127.0.0.1:9'}\n")
    assert plan(recipe)["lm"] == "openai/dear" and compiled(recipe)["lm_calls"] == 0


def test_what_a_search_may_add(recipe):
    edit(recipe, "compile: {optimizer: none}", "compile: {budget: {calls: 150}, candidates: 2}")
    assert "too few" in plan(recipe)["searches"][0]["note"] and plan(recipe, "--optimizer", "none")["searches"] == []
    (search,) = plan(recipe, "--force")["searches"]
    assert search["calls_at_most"] == 0 and search["note"].startswith("0 items to score programs on")


def test_a_search_and_its_finalists_are_counted(tmp_path, server):
    from tests.end_to_end.worlds import dishes

    text = RECIPE.replace("compile: {optimizer: none}", "compile: {budget: {calls: 150}, candidates: 2}")
    recipe = project(tmp_path, items=dishes(60), writer="served", recipe=text, models=model(server.url))
    planned = plan(recipe, "--force")
    (search,) = planned["searches"]
    assert search["calls_at_most"] == planned["search_calls_at_most"] == 2 * 36 + 60 + 60 + 10
    assert "60 should one be a finalist" in search["note"] and "(menu_line, palate)" in search["note"]


def test_a_store_that_is_being_written_is_read_as_it_stands(recipe):
    """What another process has not yet moved from its log into the store counts."""
    edit_dish(recipe.parent)
    db = sqlite3.connect(recipe.parent / ".tokenrec/store.db", isolation_level=None)
    db.execute("pragma wal_autocheckpoint = 0")
    db.execute("delete from completions where task = 'menu_line' and completion_id not in (select completion_id from verdicts)")
    db.execute("delete from verdicts where completion_id in (select completion_id from completions where task = 'palate')")
    db.execute("delete from completions where task = 'palate'")
    try:
        assert (recipe.parent / ".tokenrec/store.db-wal").stat().st_size
        code, document, _ = tokenrec("plan", recipe)
        assert code == 0 and calls(document)[::2] == [1, 10]
    finally:
        db.close()


def test_wrong_use_is_an_input_error(recipe):
    write(recipe.parent / ".tokenrec/store.db", "this is no database, and long enough to be seen as none" * 20)
    code, document, said = tokenrec("plan", recipe)
    assert code == 2 and "no tokenrec store" in document["message"] and "Traceback" not in said
    code, document, _ = tokenrec("plan", recipe.parent / "none.yaml")
    assert code == 2


def test_people_get_a_table(done, capsys):
    from tokenrec.cli.main import run

    assert run(["plan", str(done[0]), "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in [*TASKS, "Nothing to do", "smallest lift"])

"""One line changed in tokenrec.yaml: an OpenAI-compatible server writes instead."""

import json

import pytest

from tests.end_to_end.server import serving
from tests.end_to_end.worlds import RECIPE, lend_vectors, project, sound, store, tokenrec

KEY = "sk-e2e-5f2c81d0a9e34b77"


def model(url: str, more: str = "") -> str:
    return f"{{kind: api, model: openai/small, api_base: '{url}', api_key_env: E2E_KEY{more}}}"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("E2E_KEY", KEY)


def test_an_api_model_writes_tags_and_texts_and_its_cost_is_counted(tmp_path, finished):
    with serving() as served:
        recipe = project(tmp_path, writer="served", models=model(served.url, ", price: {input: 2, output: 8}"))
        lend_vectors(finished.root, tmp_path)
        code, document, said = tokenrec("compile", recipe)
    assert code == 0, said
    assert document["lm_calls"] == len(served.requests) == 58
    assert (document["prompt_tokens"], document["completion_tokens"]) == (5800, 580)
    assert document["cost_usd"] == pytest.approx((5800 * 2 + 580 * 8) / 1e6)
    assert set(served.keys) == {f"Bearer {KEY}"}
    assert {b["model"] for b in served.requests} == {"small"}
    for task in document["tasks"]:
        assert task["accepted"] + task["rejected"] == task["generated"] and task["accepted"], task
    db = store(tmp_path)
    assert sound(db)
    spent = db.execute("select sum(calls), sum(prompt_tokens), sum(cost_usd) from spend").fetchone()
    assert tuple(spent) == (58, 5800, pytest.approx(document["cost_usd"]))
    nowhere(tmp_path, KEY)
    # the same again asks nothing, although the server is gone
    code, again, said = tokenrec("compile", recipe)
    assert code == 0, said
    assert again["lm_calls"] == 0 and again["arms"] == document["arms"]


def test_a_task_may_have_a_model_of_its_own(tmp_path, finished):
    own = RECIPE.replace("    write: A menu line.\n", "    writer: served\n    write: A menu line.\n")
    with serving() as served:
        price = ", price: {input: 2, output: 8}"
        recipe = project(tmp_path, recipe=own, models="{kind: replay, path: tape.jsonl}",
                         more=f"  served: {model(served.url, price)}\n")  # fmt: skip
        lend_vectors(finished.root, tmp_path)
        code, planned, said = tokenrec("plan", recipe)
        assert code == 0, said
        assert {t["task"]: t["cost_usd"] > 0 for t in planned["tasks"]} == {
            "flavour": False, "menu_line": True, "palate": False}  # fmt: skip
        assert any("menu_line asks small" in n or "menu_line asks openai/small" in n for n in planned["notes"])
        code, document, said = tokenrec("compile", recipe)
        assert code == 0, said
        assert len(served.requests) == document["lm_calls"] == 24 and all("menu line" in t for t in served.texts())
        code, checked, _ = tokenrec("compile", recipe, "--check")
        assert code == 0 and [p["task"] for p in checked["programs"]] == ["menu_line"], "a recording has no program"
        assert [t["task"] for t in tokenrec("diff", recipe)[1]["tasks"]] == ["flavour", "menu_line", "palate"]
        assert tokenrec("plan", recipe)[1]["nothing_to_do"]
    of = dict(store(tmp_path).execute("select task, lm_id from current").fetchall())
    assert of["flavour"].startswith("replay/") and of["palate"].startswith("replay/")
    assert of["menu_line"].startswith("openai/small")


@pytest.mark.parametrize("wrong, why", [("api_key_env: E2E_NO_KEY", "needs a key"), ("timeout: 9", "budget.usd can't")])
def test_a_tasks_own_model_that_can_not_be_used_is_said_before_another_is_paid(tmp_path, finished, wrong, why):
    own = RECIPE.replace("    write: A menu line.\n", "    writer: broken\n    write: A menu line.\n")
    with serving() as served:
        broken = f"{{kind: api, model: openai/other, api_base: '{served.url}', {wrong}}}"
        recipe = project(tmp_path, recipe=own + "budget: {usd: 1}\n", writer="served", more=f"  broken: {broken}\n",
                         models=model(served.url, ", price: {input: 2, output: 8}"))  # fmt: skip
        lend_vectors(finished.root, tmp_path)
        code, document, _ = tokenrec("compile", recipe)
    assert code == 2 and why in document["message"] and not served.requests


def test_without_a_price_the_cost_is_unknown_not_zero(tmp_path, finished):
    with serving() as served:
        recipe = project(tmp_path, writer="served", models=model(served.url))
        lend_vectors(finished.root, tmp_path)
        code, document, said = tokenrec("compile", recipe, "--calls", "100")
        assert code == 0, said
        assert document["cost_usd"] is None and document["lm_calls"] == 58
        code, document, _ = tokenrec("compile", recipe, "--usd", "1")
    assert code == 2 and "price" in document["message"]


def test_only_the_named_inputs_leave_the_machine(tmp_path, finished):
    items = [json.loads(line) for line in (finished.root / "data/dishes.jsonl").read_text(encoding="utf-8").splitlines()]
    for i, item in enumerate(items):
        item["cuisine"], item["supplier"] = f"SECRET-FACT-{i}", f"SECRET-FIELD-{i}"
    with serving() as served:
        recipe = project(tmp_path, items=items, writer="served", models=model(served.url))
        lend_vectors(finished.root, tmp_path)
        code, _, said = tokenrec("compile", recipe)
    assert code == 0, said
    sent = json.dumps(served.requests, ensure_ascii=False)
    assert "SECRET" not in sent
    assert not any(f"u{n:03}" in sent for n in range(80))  # users go by their tastes, never by their ids
    assert items[0]["name"] in sent


def test_privacy_send_refuses_a_task_that_needs_more(tmp_path):
    recipe = project(tmp_path, recipe=RECIPE + "privacy: {send: [name]}\n")
    code, document, _ = tokenrec("compile", recipe)
    assert code == 2 and "ingredients" in document["message"] and "privacy" in document["message"]


def test_a_key_that_the_server_refuses_is_not_written_down(tmp_path, finished):
    """Servers echo the key in their errors; errors are stored and shown."""
    with serving(lambda text: 401, error=f"Incorrect API key provided: {KEY}. You can find your key elsewhere.") as served:
        recipe = project(tmp_path, writer="served", models=model(served.url))
        lend_vectors(finished.root, tmp_path)
        code, document, said = tokenrec("compile", recipe)
    assert code == 4 and "Incorrect API key" in document["message"]
    assert KEY not in said and KEY not in json.dumps(document)
    nowhere(tmp_path, KEY)


def test_a_key_that_is_not_set_is_an_input_error(tmp_path, monkeypatch):
    monkeypatch.delenv("E2E_KEY")
    code, document, _ = tokenrec("compile", project(tmp_path, writer="served", models=model("http://127.0.0.1:9/v1")))
    assert code == 2 and "E2E_KEY" in document["message"]


def nowhere(root, secret: str) -> None:
    files = [p for p in root.rglob("*") if p.is_file()]
    assert any(p.name == "store.db" for p in files)
    assert not [p for p in files if secret.encode() in p.read_bytes()]

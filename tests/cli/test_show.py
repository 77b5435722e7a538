"""`tokenrec show` on what a server wrote."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.cli.conftest import HOSTILE
from tests.end_to_end.test_main_job import holds
from tests.end_to_end.worlds import ROOT, dishes, project, store, tokenrec
from tokenrec.cli.main import run

DISH = [d["dish_id"] for d in dishes()]


@pytest.fixture(scope="module")
def at(served):
    return "--store", served.root / ".tokenrec/store.db"


def show(*args, code=0):
    got, document, said = tokenrec("show", *args)
    assert got == code, said
    holds(document)
    return document


def about(served, task, dish):
    return show("--recipe", served.recipe, "--task", task, "--subject", dish)


def test_a_token_with_all_that_is_known_of_it(served, at):
    (row,) = store(served.root).execute("select * from tokens where task = 'flavour' and subject = ?", [DISH[5]])
    doc = about(served, "flavour", DISH[5])
    assert doc == show(row["completion_id"][:8].upper(), *at) | {"parameters": doc["parameters"]}
    assert doc["completion"] == row["completion_id"] and (doc["state"], doc["token"]) == ("accepted", True)
    assert doc["feeds"] == ["flavour.taste"] and doc["output"] == json.loads(row["output"])
    assert doc["output"] == json.loads(doc["raw"]) and doc["first_raw"] is None
    assert doc["inputs"]["name"] == dishes()[5]["name"]
    (one,) = doc["subjects"]
    assert (one["recipe"], one["kind"], one["subject"], one["token"]) == ("small", "item", DISH[5], True)
    (told,) = doc["program"]["predictors"]
    assert told["instructions"] == "Say how it tastes." and doc["program"]["id"] == row["program_id"]
    assert doc["parameters"] == {"hash": row["lm_id"][-8:], "known": True, "temperature": 0.0, "max_tokens": None}
    assert (doc["calls"], doc["prompt_tokens"], doc["completion_tokens"]) == (1, 100, 10)
    assert doc["cost_usd"] == pytest.approx(100 * 2e-6 + 10 * 8e-6) and doc["seconds"] > 0
    assert doc["lm_id"].startswith("openai/small#") and doc["run"] == served.first["run"]


def test_a_repaired_answer_shows_both(served):
    doc = about(served, "menu_line", DISH[1])
    assert doc["token"] and doc["first_raw"].startswith('{"line": "a line') and doc["calls"] == 2
    assert doc["feeds"] == ["menu_line.line"]


def test_the_best_of_two_and_the_verdict_on_the_first(served, at):
    doc = about(served, "menu_line", DISH[3])
    assert (doc["sample"], doc["token"]) == (1, True)
    (first,) = doc["other_samples"]
    assert (first["sample"], first["state"]) == (0, "rejected")
    doc = show(first["completion"][:12], *at)
    assert not doc["token"] and doc["feeds"] == [] and not doc["subjects"][0]["token"]
    failed = [v for v in doc["verdicts"] if not v["passed"]]
    assert [v["gate"] for v in failed] == ["noise/refusal"] and failed[0]["quote"] in doc["raw"]
    stored = store(served.root).execute("select count(*) from verdicts where completion_id = ?", [doc["completion"]])
    assert len(doc["verdicts"]) == stored.fetchone()[0]


def test_without_a_token_it_is_the_last_answer(served):
    doc = about(served, "menu_line", DISH[2])
    assert (doc["state"], doc["output"], doc["sample"]) == ("malformed", None, 1) and doc["raw"] == "oops"


def test_what_is_not_there_is_said(served, at):
    def message(*args):
        return show(*args, code=2)["message"]

    assert "begins with ffffffffff" in message("ffffffffff", *at)
    assert "6 to 64" in message("abc", *at) and "6 to 64" in message("%%%%%%", *at)
    base = ["--recipe", served.recipe, "--task"]
    assert "the last error was" in message(*base, "flavour", "--subject", DISH[4])
    assert "nothing about nobody" in message(*base, "flavour", "--subject", "nobody")
    assert "flavour, menu_line, palate" in message(*base, "mood", "--subject", DISH[4])
    assert "COMPLETION_ID" in message(*at) and "either" in message("abcdef", "--task", "flavour")
    assert "nothing is written yet" in message("abcdef", "--store", served.root / "none.db")


def test_an_ambiguous_prefix_is_not_guessed(tmp_path, served):
    shutil.copytree(served.root, tmp_path / "p")
    db = store(tmp_path / "p")
    for end in "ab":
        db.execute(
            "insert into completions (completion_id, program_id, lm_id, input_hash, sample, task, inputs, raw,"
            " prompt_tokens, completion_tokens, calls, created) select ?, program_id, lm_id, ?, 0, task, '{}', 'x',"
            " 0, 0, 0, '' from completions limit 1", ["abcdef0" + end * 57, end],
        )
    db.commit()
    path = ["--store", tmp_path / "p/.tokenrec/store.db"]
    assert "several ids begin with abcdef" in show("abcdef", *path, code=2)["message"]
    assert show("abcdef0a", *path)["subjects"] == []


def test_inputs_that_are_equal_share_one_completion(tmp_path):
    items = dishes()
    for i in (7, 8):
        items[i] = items[6] | {"dish_id": f"twin{i}"}
    recorded = [{"task": "flavour", "subject": items[6]["dish_id"], "output": {"taste": ["sour"]}}]
    recipe = project(tmp_path, items=items, recorded=recorded)
    assert tokenrec("compile", recipe)[0] == 0
    doc = show("--recipe", recipe, "--task", "flavour", "--subject", "twin8")
    assert {s["subject"] for s in doc["subjects"] if s["token"]} == {items[6]["dish_id"], "twin7", "twin8"}


def test_catalogue_text_is_no_markup_and_no_terminal_code(served, capsys):
    args = ["show", "--recipe", str(served.recipe), "--task", "flavour", "--subject", DISH[0]]
    assert run(args) == 0
    text = capsys.readouterr().out
    assert "[red]Soup[/red]" in text and "[bold" in text
    assert "\x1b" not in text and "\u202e" not in text
    assert "\x1b" in HOSTILE


def test_it_is_light(served, at):
    code = (f"import sys; from tokenrec.cli.main import run; run(['show', '--recipe', {str(served.recipe)!r}, '--task',"
            f" 'flavour', '--subject', {DISH[5]!r}, '--json']); "
            "print([m for m in ('dspy', 'torch', 'xgboost', 'litellm', 'pyarrow') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "[]"

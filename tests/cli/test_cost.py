"""`tokenrec cost`: its rows and totals against the spend table."""

import shutil
import subprocess
import sys

import pytest

from tests.end_to_end.test_main_job import holds
from tests.end_to_end.worlds import ROOT, store, tokenrec
from tokenrec.cli.main import run

COUNTS = ("calls", "prompt_tokens", "completion_tokens")


@pytest.fixture
def copy(served, tmp_path):
    """A copy of the served project, to be spoilt."""
    shutil.copytree(served.root, tmp_path / "p")
    return tmp_path / "p"


def cost(root, code=0):
    got, document, said = tokenrec("cost", root / "recipe.yaml")
    assert got == code, said
    holds(document)
    return document


def change(root, *statements):
    db = store(root)
    for statement in statements:
        assert db.execute(statement).rowcount
    db.commit()
    db.close()


def adds_up(document, root):
    """Rows less what is unrecorded are the totals less the reflectors, and the totals are the spend table."""
    spent = store(root).execute("select sum(calls), sum(prompt_tokens), sum(completion_tokens) from spend").fetchone()
    assert tuple(document["total"][k] for k in COUNTS) == tuple(n or 0 for n in spent)
    for k in (*COUNTS, "cost_usd"):
        rows, purposes = [sum(r[k] for r in document[t]) for t in ("rows", "purposes")]
        reflected = sum(p[k] for p in document["purposes"] if p["purpose"] == "reflect")
        assert document["total"][k] == pytest.approx(purposes)
        assert rows - document["unrecorded"][k] == pytest.approx(purposes - reflected)


def test_rows_by_outcome_equal_the_spend_table(served):
    document = cost(served.root)
    adds_up(document, served.root)
    found = {(r["task"], r["outcome"]): (r["answers"], r["calls"]) for r in document["rows"]}
    assert found == {
        ("flavour", "accepted"): (23, 23), ("flavour", "failed"): (1, 1),
        ("menu_line", "accepted"): (23, 24), ("menu_line", "rejected"): (1, 1), ("menu_line", "malformed"): (2, 4),
        ("palate", "accepted"): (10, 10),
    }  # fmt: skip
    assert {r["model"] for r in document["rows"]} == {"openai/small"} and all(r["program"] for r in document["rows"])
    assert document["total"]["calls"] == served.first["lm_calls"]
    assert document["total"]["cost_usd"] == pytest.approx(served.first["cost_usd"]) and not document["notes"]


def test_a_recording_costs_nothing(finished):
    document = cost(finished.root)
    assert document["total"] == dict.fromkeys(COUNTS, 0) | {"cost_usd": 0.0} and document["purposes"] == []
    assert sum(r["answers"] for r in document["rows"]) == 58 and not any(r["calls"] for r in document["rows"])


def test_an_unknown_price_is_unknown(copy, capsys):
    change(copy, "update completions set cost_usd = null where task = 'palate'",
           "update spend set cost_usd = null where task = 'palate'")  # fmt: skip
    document = cost(copy)
    assert {r["task"] for r in document["rows"] if r["cost_usd"] is None} == {"palate"}
    assert [p["task"] for p in document["purposes"] if p["cost_usd"] is None] == ["palate"]
    assert document["total"]["cost_usd"] is None and document["unrecorded"]["cost_usd"] == 0
    assert "write price" in " ".join(document["notes"]).lower()
    assert run(["cost", str(copy / "recipe.yaml")]) == 0
    shown = capsys.readouterr().out
    assert all("unknown" in line for line in shown.splitlines() if "palate" in line or line.startswith("total"))


def test_where_they_cannot_be_equal_it_says_so(copy):
    # a reflector's answers are no completions; an answer was removed; a run was killed before it wrote its spend
    change(copy, "insert into spend (run, task, purpose, lm_id, calls, prompt_tokens, completion_tokens, cost_usd)"
           " select run, task, 'reflect', lm_id, 40, 4000, 400, .5 from spend where task = 'flavour'",
           "delete from completions where completion_id = (select completion_id from tokens where task = 'menu_line')",
           "delete from spend where task = 'palate'")  # fmt: skip
    document = cost(copy)
    adds_up(document, copy)
    lost = [r for r in document["rows"] if r["outcome"] == "unstored"]
    assert [(r["task"], r["calls"], r["answers"]) for r in lost] == [("menu_line", 1, 0)] and lost[0]["program"]
    assert document["unrecorded"]["calls"] == 10 and document["unrecorded"]["cost_usd"] == pytest.approx(0.0028)
    said = " ".join(document["notes"])
    assert "40 calls of the reflector" in said and "10 calls" in said and "killed" in said and "unstored" in said


def test_recipes_of_one_store_are_told_apart(copy, monkeypatch):
    change(copy, "insert into runs (run, recipe, started, status) values ('r2', 'other', '', 'finished')",
           "insert into spend (run, task, purpose, lm_id, calls, prompt_tokens, completion_tokens, cost_usd)"
           " values ('r2', 'mood', 'generate', 'x/y', 7, 70, 7, null)")  # fmt: skip
    assert cost(copy)["total"]["calls"] == 63
    monkeypatch.chdir(copy)
    code, document, _ = tokenrec("cost")
    holds(document)
    assert code == 0 and document["recipe"] is None and document["total"]["calls"] == 70
    assert [(r["task"], r["outcome"], r["calls"]) for r in document["rows"] if r["recipe"] == "other"] == [
        ("mood", "unstored", 7)]  # fmt: skip
    assert run(["cost"]) == 0


def test_nothing_yet(tmp_path, served):
    code, document, _ = tokenrec("cost", "--store", tmp_path / "none.db")
    assert code == 2 and "nothing is written yet" in document["message"]
    (tmp_path / "r.yaml").write_text((served.root / "recipe.yaml").read_text().replace("name: small", "name: new"))
    (tmp_path / "tokenrec.yaml").write_text("models: {served: {kind: api, model: openai/x}}\n")
    code, document, _ = tokenrec("cost", tmp_path / "r.yaml", "--store", served.root / ".tokenrec/store.db")
    assert code == 2 and "nothing of new" in document["message"]


def test_it_is_light_and_fits_a_terminal(served):
    code = (f"import sys; from tokenrec.cli.main import run; run(['cost', {str(served.recipe)!r}]); "
            "print([m for m in ('dspy', 'torch', 'xgboost', 'litellm', 'pyarrow') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if line.startswith(("menu_line", "flavour")))

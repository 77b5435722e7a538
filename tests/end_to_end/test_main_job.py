"""The main job on small cuts: its document, its store, and that a second run asks nothing."""

import csv
import json
import shutil
import sqlite3
from collections import Counter

import jsonschema
import pytest
import yaml

from tests.end_to_end.worlds import ROOT, child, contents, sound, store, tokenrec, write

DISHES, USERS = 56, 500


def holds(document: dict) -> None:
    path = ROOT / f"tokenrec/report/schemas/{document['kind']}.schema.json"
    jsonschema.validate(document, json.loads(path.read_text(encoding="utf-8")))


def adds_up(document: dict, root) -> None:
    """Every subject of every task is in exactly one state, as the store has it."""
    db = store(root)
    for task in document["tasks"]:
        subjects = db.execute(
            "select count(*) from subjects s join current r using (recipe, task, program_id, lm_id) where s.task = ?",
            [task["task"]],
        ).fetchone()[0]
        assert task["generated"] == task["malformed"] + task["rejected"] + task["accepted"]
        assert subjects == task["generated"] + task["failed"]
        tokens = db.execute("select count(distinct subject), count(*) from tokens where task = ?", [task["task"]])
        assert tuple(tokens.fetchone()) == (task["accepted"], task["accepted"])


def figures(document: dict) -> dict:
    return {k: document[k] for k in ("arms", "leaderboard", "objective", "lists", "smallest_detectable_lift")}


def test_a_recorded_run_repeats_exactly(finished):
    for document in (finished.first, finished.second):
        holds(document)
        adds_up(document, finished.root)
        assert document["lm_calls"] == 0 and document["cost_usd"] == 0
    assert [t["asked"] for t in finished.first["tasks"]] == [24, 24, 10]
    assert [t["asked"] for t in finished.second["tasks"]] == [0, 0, 0]
    assert figures(finished.first) == figures(finished.second)
    assert finished.second["looks"]["test_reads"] == finished.first["looks"]["test_reads"] + 1
    assert sound(store(finished.root))
    after = contents(finished.root)
    for table, rows in finished.before.items():
        assert set(rows) <= set(after[table]), table
        assert table == "evidence" or len(rows) == len(after[table]), table


def test_eval_of_a_run_without_labels_holds_to_its_schema(finished):
    code, document, _ = tokenrec("eval", finished.recipe)
    holds(document)
    assert code == 0 and [t["task"] for t in document["tasks"]] == ["flavour", "menu_line", "palate"]
    assert all(t["noise_rate"]["after"]["value"] is None for t in document["tasks"])


def test_wrong_use_of_compile_is_an_input_error(finished, tmp_path):
    for args in (["compile", tmp_path / "none.yaml"], ["compile", finished.recipe, "--calls", "0"]):
        code, document, said = tokenrec(*args)
        assert code == 2 and document["kind"] == "error" and "Traceback" not in said
        holds(document)


def kitchen(root):
    """The recipe app on the dishes that are eaten most, every limit made small."""
    recipe = yaml.safe_load((ROOT / "recipes/recipe_app.yaml").read_text(encoding="utf-8"))
    for name, task in recipe["tasks"].items():
        if name != "flavour":
            task["subjects"] = {**task.get("subjects", {}), "most": 4}
    flavour = recipe["tasks"]["flavour"]
    del flavour["outputs"]["texture"]
    flavour["examples"] = [{k: v for k, v in e.items() if k != "texture"} for e in flavour["examples"]]
    recipe["data"]["most_users"] = USERS
    recipe["ranker"] |= {"seeds": 1, "negatives": 10}
    recipe["compile"] |= {"candidates": 2, "tasks": ["flavour"], "budget": {"calls": 140}}
    recipe["eval"] = {"fail_if": {"noise_rate": "> 0.10"}}
    (root / "recipes/kitchen").mkdir(parents=True)
    for words in ROOT.glob("recipes/kitchen/words_*.yaml"):
        shutil.copy(words, root / "recipes/kitchen")
    with (ROOT / "recipes/kitchen/events.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    keep = {dish for dish, _ in Counter(r[1] for r in rows[1:]).most_common(DISHES)}
    for name in ("dishes", "labels"):
        lines = (ROOT / f"recipes/kitchen/{name}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        lines = [line for line in lines if json.loads(line)["dish_id"] in keep]
        write(root / f"recipes/kitchen/{name}.jsonl", "".join(lines))
    kept = [rows[0], *[r for r in rows[1:] if r[1] in keep]]
    write(root / "recipes/kitchen/events.csv", "".join(",".join(r) + "\n" for r in kept))
    write(root / "tokenrec.yaml", "")
    write(root / "recipes/recipe_app.yaml", yaml.safe_dump(recipe, allow_unicode=True, sort_keys=False))
    return root / "recipes/recipe_app.yaml"


@pytest.mark.skipif(not (ROOT / "recipes/kitchen/events.csv").is_file(), reason="the kitchen's events are not there")
def test_kitchen_with_the_embedded_model(tmp_path):
    pytest.importorskip("xllamacpp")
    recipe = kitchen(tmp_path)
    process = child("compile", recipe, "--force")
    out, said = process.communicate(timeout=500)
    assert process.returncode == 0, said
    first = json.loads(out)
    holds(first)
    adds_up(first, tmp_path)
    assert first["simulated"] and first["lm_calls"] > DISHES and first["cost_usd"] == 0
    by_task = {t["task"]: t for t in first["tasks"]}
    assert by_task["flavour"]["accepted"] > DISHES / 2 and by_task["flavour"]["failed"] == 0
    assert {"oracle", "placebo", "ungated", "raw_text+tokens"} <= {a["arm"] for a in first["arms"]}
    (searched,) = first["searches"]
    assert searched["task"] == "flavour" and (searched["scores"] or "stopped early" in searched["note"])
    spent = store(tmp_path).execute("select sum(calls) from spend where purpose = 'search'").fetchone()[0] or 0
    assert spent <= 140
    locks = sorted((tmp_path / "programs/compiled/recipe_app").glob("*.json"))
    assert len(locks) == len(by_task)
    committed = [lock.read_bytes() for lock in locks]

    code, second, said = tokenrec("compile", recipe, "--force")
    assert code == 0, said
    holds(second)
    assert second["lm_calls"] == 0 and figures(second) == figures(first)
    assert [lock.read_bytes() for lock in locks] == committed
    assert "searched before" in second["searches"][0]["note"] or "too few" in second["searches"][0]["note"]
    assert sound(store(tmp_path))
    assert not any(str(tmp_path) in json.dumps(tuple(r), default=repr) for r in _cells(tmp_path))

    code, rates, _ = tokenrec("eval", recipe)
    holds(rates)
    assert code == 5 and {limit["verdict"] for limit in rates["failed_limits"]} == {"unknown"}


def _cells(root):
    db = sqlite3.connect(root / ".tokenrec/store.db")
    for table in ("programs", "subjects", "completions", "verdicts", "spend", "looks", "files"):
        yield from db.execute(f"select * from {table}")

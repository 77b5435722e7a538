"""kill -9 in the middle of a search: the next run asks nothing twice, and ends where a whole one would have."""

import json
import re
import time

import pytest

from tests.compiler.worlds import RECIPE, diners
from tests.end_to_end.server import serving
from tests.end_to_end.test_optimizers import writes
from tests.end_to_end.test_resume import when_answered
from tests.end_to_end.worlds import child, contents, dishes, lend_vectors, project, sound, store, tokenrec

IN_FLIGHT = 4
WRITTEN = 90  # calls before the search begins
SAME = ("programs", "subjects", "current", "completions", "verdicts", "tokens", "metrics", "evidence")


def made(root, url, optimizer, like=None):
    items = dishes(WRITTEN)
    recipe = RECIPE.replace("lm: {writer: WRITER}", "lm: {writer: WRITER, reflector: served}")
    recipe = re.sub("compile: .*", f"compile: {{optimizer: {optimizer}, candidates: 2, budget: {{calls: 160}}}}", recipe)
    models = f"{{kind: api, model: openai/small, api_base: '{url}', price: {{input: 2, output: 8}}}}"
    path = project(root, items=items, events=diners(items, 120), recorded=[], recipe=recipe, writer="served",
                   models=models, more=f"concurrency: {IN_FLIGHT}\n")  # fmt: skip
    if like:
        lend_vectors(like, root)
    return path


def outcome(root, document) -> dict:
    """What the search came to: its stored outcome, what was asked for it, the lock, and the report."""
    db = store(root)
    [found] = db.execute("select document from searches").fetchall()
    return {
        "search": json.loads(found[0]),
        "asked": sorted(tuple(r) for r in db.execute("select request, coalesce(answer, '') from asked")),
        "locks": {p.name: p.read_text(encoding="utf-8") for p in (root / "programs/compiled/tasty").glob("*.json")},
        "report": [document[k] for k in ("searches", "promotions", "arms", "leaderboard")],
        **{t: rows for t, rows in contents(root).items() if t in SAME},
    }


@pytest.mark.parametrize(("optimizer", "moments"), [("bootstrap_random", (100, 150)), ("gepa", (96, 130))])
def test_a_killed_search_asks_nothing_twice_and_ends_alike(tmp_path, optimizer, moments, monkeypatch):
    """The moments are numbers of answers: all of them lie in the search."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with serving(writes) as served:
        code, document, said = tokenrec("compile", made(tmp_path / "whole", served.url, optimizer), "--force")
        assert code == 0, said
        once, whole = served.texts(), outcome(tmp_path / "whole", document)
    root = tmp_path / "cut"
    assert len(once) == document["lm_calls"] > max(moments) and len(whole["search"]["scores"]) == 2
    with serving(writes, delay=0.05) as served:
        recipe = made(root, served.url, optimizer, tmp_path / "whole")
        for moment in moments:
            process = child("compile", recipe, "--force")
            when_answered(served, moment, process)
            process.kill()
            process.communicate()
            time.sleep(0.2)  # the server finishes what was in flight
            assert sound(store(root)) and not store(root).execute("select 1 from searches").fetchall()
        served.delay = 0
        code, document, said = tokenrec("compile", recipe, "--force")
        assert code == 0, said
        twice = served.texts()
    repeated = len(twice) - len(once)
    assert set(twice) == set(once) and 0 <= repeated <= len(moments) * IN_FLIGHT, repeated
    again = outcome(root, document)
    for part, found in again.items():
        assert found == whole[part], part
    assert [r[0] for r in store(root).execute("select status from runs order by started")] == ["killed", "killed", "finished"]

"""`tokenrec curve` on a finished project."""

import json
import re

import jsonschema
import pytest

from tests.end_to_end.worlds import ROOT, contents, project, store, tokenrec
from tokenrec.cli.curve import drawn


def holds(document):
    path = ROOT / f"tokenrec/report/schemas/{document['kind']}.schema.json"
    jsonschema.validate(document, json.loads(path.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def curve(finished):
    before = contents(finished.root)
    looks = store(finished.root).execute("select count(*) from looks").fetchone()[0]
    code, document, said = tokenrec("curve", finished.recipe)
    assert code == 0, said
    assert contents(finished.root) == before
    assert store(finished.root).execute("select count(*) from looks").fetchone()[0] == looks
    return document


def test_each_task_has_its_shares_and_nothing_is_asked_or_stored(curve, finished):
    holds(curve)
    assert curve["window"] == "tune" and curve["lists"] == finished.first["lists"]["n_tune_a"]
    written = {t["task"]: t["generated"] for t in finished.first["tasks"]}
    assert {t["task"]: t["subjects"] for t in curve["tasks"]} == written
    for task in curve["tasks"]:
        assert [p["share"] for p in task["points"]] == [0, 0.1, 0.25, 0.5, 0.75, 1]
        assert [p["subjects"] for p in task["points"]][-1] == task["subjects"] and task["points"][0]["lift"] == 0


def test_the_last_point_on_test_is_the_leaderboards_lift(finished):
    code, document, said = tokenrec("curve", finished.recipe, "--on", "test", "--task", "flavour")
    assert code == 0, said
    holds(document)
    lift = next(r["lift"] for r in finished.second["leaderboard"] if r["task"] == "flavour")
    (task,) = document["tasks"]
    assert task["points"][-1]["lift"] == pytest.approx(lift, abs=1e-9)
    reads = store(finished.root).execute("select count(*) from looks where window = 'test'").fetchone()[0]
    assert document["test_reads"] == reads == finished.second["looks"]["test_reads"] + 1


def test_people_see_a_picture(curve):
    lines = drawn(curve)
    assert "SIMULATED" in lines[0] and all(len(line) <= 90 for line in lines[1:])
    rows = [line for line in lines if re.match(r" *\d+% ", line)]
    assert len(rows) == 6 * len(curve["tasks"]) and all("●" in row for row in rows)
    point = {"share": 1.0, "subjects": 9, "lift": 0.02, "low": 0.01, "high": 0.03}
    task = {"task": "t", "subjects": 9, "enough": 0.5, "points": [{**point, "share": 0, "lift": 0, "low": 0, "high": 0}, point]}
    said = "\n".join(drawn({**curve, "tasks": [task], "test_reads": 3}))
    assert "from 50% of the texts on" in said and "read 3 time(s)" in said


def test_nothing_written_yet_and_no_such_task_are_input_errors(tmp_path, finished):
    recipe = project(tmp_path)
    code, document, _ = tokenrec("curve", recipe)
    assert code == 2 and "run: tokenrec compile" in document["message"]
    code, document, _ = tokenrec("curve", finished.recipe, "--task", "flavor")
    assert code == 2 and "there is no task flavor" in document["message"]

"""Scored outputs: calibrated once a program, typed and judged without another call; recordings played back."""

import gzip
import json

import pytest

from tests.tasks.test_program import Chooser
from tests.tasks.worlds import TASTES, dataset, flavour, recipe, writer
from tokenrec.errors import InputError
from tokenrec.gates.build import make_judge
from tokenrec.generate.run import generate
from tokenrec.ids import unit_hash
from tokenrec.lm.replay import read_recording, replay_id
from tokenrec.store import completions as store
from tokenrec.store.store import open_store
from tokenrec.tasks.inputs import prompts
from tokenrec.tasks.program import make_program, weights_of
from tokenrec.tasks.spec import task_spec


class Biased(Chooser):
    """Likes `sour` whatever it is asked about, plus a little that depends on the plant."""

    def __init__(self):
        self.calls = 0

    def __call__(self, state, questions):
        self.calls += 1
        raw = {c: unit_hash(state["inputs"]["name"], c) + 5 * (c == "sour") for c in TASTES}
        chances = {c: p / sum(raw.values()) for c, p in raw.items()}
        return {"taste": {"choice": "sour", "confidence": 0.8, "probabilities": chances}}


def run(db, n, chooser):
    made, data = recipe(flavour=flavour(inputs=["name"])), dataset(n)
    spec = task_spec(made, "flavour")
    at = writer(chooser=chooser, at_once=1)
    program = make_program(spec, at)
    judge = make_judge(made, spec, data)
    report = generate(db, "plants", spec, program, at, judge, list(prompts(made, data, spec, {})), run="r")
    return report, program


def test_a_biased_model_is_calibrated_once_and_the_weights_come_back_from_the_store():
    db, chooser = open_store(":memory:"), Biased()
    report, program = run(db, 40, chooser)
    assert (chooser.calls, report.accepted) == (40, 40)
    said = [t for out in store.tokens(db, "plants", "flavour").values() for t in out["taste"]]
    assert all(said.count(c) >= 5 for c in TASTES)  # uncalibrated it would be sour forty times
    again, second = run(db, 40, chooser)
    assert chooser.calls == 40 and again.asked == 0 and again.gate_id == report.gate_id
    assert weights_of(second, "taste") == weights_of(program, "taste")
    more, third = run(db, 45, chooser)
    assert chooser.calls == 45 and more.asked == 5 and weights_of(third, "taste") == weights_of(program, "taste")


def test_probabilities_are_stored_raw_and_outputs_typed():
    db = open_store(":memory:")
    run(db, 3, Biased())
    for row in db["completions"].rows:
        chances = json.loads(row["probabilities"])["taste"]
        assert sum(chances.values()) == pytest.approx(1, abs=1e-5) and chances["sour"] > 0.5
        assert json.loads(row["output"]) == {"taste": ["sour"]}


# -- replay -----------------------------------------------------------------------------------------------


def replay(tmp_path, lines, n=3):
    path = tmp_path / "said.jsonl"
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    made, data = recipe(flavour=flavour()), dataset(n)
    spec = task_spec(made, "flavour")
    at = writer(replay=path)
    at.lm_id, at.adapter = replay_id(path), None
    db = open_store(":memory:")
    told = list(prompts(made, data, spec, {}))
    report = generate(db, "plants", spec, make_program(spec, at), at, make_judge(made, spec, data), told, run="r")
    return db, report


def test_a_recording_is_played_back_and_what_it_lacks_has_failed(tmp_path):
    lines = [{"task": "flavour", "subject": f"p{i}", "output": {"taste": [t]}} for i, t in enumerate(["sour", "hot"])]
    db, report = replay(tmp_path, [*lines, "\n"])
    assert store.tokens(db, "plants", "flavour") == {"p0": {"taste": ["sour"]}, "p1": {"taste": ["hot"]}}
    assert (report.accepted, report.failed, report.usage.calls, db["spend"].count) == (2, 1, 0, 0)


def test_a_recording_may_lack_more_than_a_service_may_fail(tmp_path):
    db, report = replay(tmp_path, [{"task": "flavour", "subject": "p19", "raw": '{"taste": ["sweet"]}'}], n=20)
    assert (report.accepted, report.failed) == (1, 19)


def test_a_recording_may_be_gzipped(tmp_path):
    line = json.dumps({"task": "t", "subject": "p", "output": {"a": "é"}}) + "\n"
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(line.encode()))
    (tmp_path / "x.jsonl").write_text(line, encoding="utf-8")
    assert read_recording(tmp_path / "x.jsonl.gz") == read_recording(tmp_path / "x.jsonl") != {}


@pytest.mark.parametrize("bad", ["{\n", "[]\n", '{"task": "flavour"}\n', '{"task": "t", "subject": "p0"}\n'])
def test_a_broken_line_of_a_recording_is_named(tmp_path, bad):
    (tmp_path / "x.jsonl").write_text('{"task": "t", "subject": "p", "raw": ""}\n' + bad)
    with pytest.raises(InputError, match="x.jsonl:2"):
        read_recording(tmp_path / "x.jsonl")

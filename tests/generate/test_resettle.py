"""A changed threshold: stored texts are decided anew from stored scores, and no check runs again."""

import json

import pytest

from tests.generate.scripted import World
from tokenrec.errors import InputError
from tokenrec.gates.build import task_calibrations
from tokenrec.gates.calibration import THIRDS, calibration_path, read_calibration
from tokenrec.gates.judge import Judge
from tokenrec.gates.text import listed
from tokenrec.generate.judging import judge_all
from tokenrec.ids import content_id
from tokenrec.store import completions as store
from tokenrec.store.verdicts import stored_findings

OUTPUT = {"type": "text", "max_words": 30, "judge": "detector", "factuality": {"risk": 0.1, "on_unmet": "flag"}}
WORDS = sorted(
    listed(
        """amber birch cedar delta ember frost grove heath ivory jade kelp lunar moss night opal pearl quartz raven sage
        tide umber velvet willow yarrow zinc aspen brook cliff dune elm fern gorse hazel iris juniper knoll larch maple
        nettle oak pine quince rowan spruce thorn ulex vetch wren xenia yew"""
    )
)


def answer(plant, k):
    """One to three sentences; the second, where there is one, is of nothing in the record."""
    w = [WORDS[(plant * 4 + i) % len(WORDS)] for i in range(4)]
    said = [f"Leaf {plant} {w[0]} on a stem.", f"It hates {w[1]}, {w[2]} and {w[3]} alike.", f"A {w[0]} stem."]
    return json.dumps({"line": " ".join(said[: 1 + plant % 3])})


def world(n=12, **output):
    outputs = {"line": OUTPUT | output}
    made = World(answer, n=n, inputs=["name", "parts"], outputs=outputs)
    made.report = made.run()
    return made


def write(root, task, threshold, judges, **third):
    """A calibration with one threshold for all thirds."""
    even = {"slope": 1.0, "bias": 0.0, "weights": {}, "text_slope": 1.0, "text_bias": 0.0} | third
    thirds = [even | {"threshold": threshold}] * THIRDS
    output = {"thirds": thirds, "promised": True, "said": "", "risk": 0.1, "confidence": 0.9}
    path = calibration_path(root, "plants", task)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"task": task, "program_id": "p", "judges": judges, "outputs": {"line": output}}))


def again(made, root, monkeypatch=None):
    """Judge what is stored as a later run would."""
    spec, _, _, judge = made.parts()
    judge = Judge(spec.name, spec.task, spec.choices, judge.terms, calibrations=task_calibrations(root, spec))
    if monkeypatch:
        monkeypatch.setattr(Judge, "check", lambda *_: (_ for _ in ()).throw(AssertionError("a check ran")))
    key = (made.report.program_id, made.report.lm_id)
    gate_id = judge_all(made.db, "plants", spec, {}, judge, *key)
    store.set_current(made.db, "plants", "line", *key, gate_id)
    rows = store.completions_of(made.db, "plants", "line", *key)
    return {r.subject: (r.state, r.kept, r.gate_id, stored_findings(made.db, r.key.id)) for r in rows}


def judges():
    from tokenrec.gates.build import judge_id

    return {"line": judge_id("detector")}


def test_a_threshold_decides_from_stored_scores_alone(tmp_path, monkeypatch):
    made = world()
    assert made.report.accepted == 12
    write(tmp_path, "line", 0.35, judges())
    found = again(made, tmp_path, monkeypatch)
    states = {s for s, *_ in found.values()}
    worst = {s: max(p for f in at[3] for *_, p in f.parts) for s, at in found.items()}
    assert states == {"accepted", "rejected"}
    assert all((worst[s] >= 0.35) == (state == "rejected") for s, (state, *_) in found.items())
    assert len({at[2] for at in found.values()}) == 1
    write(tmp_path, "line", 1.1, judges())
    assert {s for s, *_ in again(made, tmp_path).values()} == {"accepted"}


def test_deciding_anew_ends_where_judging_everything_would(tmp_path):
    made, fresh = world(unsupported="drop"), world(unsupported="drop")
    write(tmp_path, "line", 0.3, judges())
    again(made, tmp_path)
    write(tmp_path, "line", 0.45, judges())
    for each in (made, fresh):
        each.found = again(each, tmp_path)
    fresh.db.execute("update completions set gate_id = 'x', checked = null, findings = null")
    whole = again(fresh, tmp_path)
    by_gate = {s: (state, kept, sorted(map(repr, f))) for s, (state, kept, _, f) in whole.items()}
    assert by_gate == {s: (state, kept, sorted(map(repr, f))) for s, (state, kept, _, f) in made.found.items()}
    assert any(kept for _, kept, *_ in whole.values())


def test_tokens_lack_the_dropped_sentences_and_outputs_keep_them(tmp_path):
    made = world(unsupported="drop")
    write(tmp_path, "line", 0.35, judges())
    found = again(made, tmp_path)
    tokens = store.tokens(made.db, "plants", "line")
    outputs = {r["subject"]: json.loads(r["output"]) for r in made.db.query(
        "select s.subject, c.output from subjects s join completions c using (input_hash)")}  # fmt: skip
    cut = [s for s, (state, kept, *_) in found.items() if kept]
    assert cut and all(len(tokens[s]["line"]) < len(outputs[s]["line"]) for s in cut)
    assert all(tokens[s] == outputs[s] for s in tokens if s not in cut)


def test_a_fit_makes_the_checks_run_again(tmp_path):
    made = world()
    write(tmp_path, "line", 0.35, judges(), bias=-5.0)
    found = again(made, tmp_path)
    assert {s for s, *_ in found.values()} == {"accepted"}
    assert all(any(f.gate == "factuality/recalibrated" for f in at[3]) for at in found.values())


def test_a_calibration_of_other_weights_is_not_used(tmp_path):
    made = world()
    write(tmp_path, "line", 0.0, {"line": "detector@" + content_id("others")[:16]})
    assert {s for s, *_ in again(made, tmp_path).values()} == {"accepted"}


@pytest.mark.parametrize(
    ("third", "output", "document"),
    [({"threshold": float("nan")}, {}, {}), ({"threshold": None}, {}, {}), ({"threshold": "0.3"}, {}, {}),
     ({"slope": "1"}, {}, {}), ({"bias": float("inf")}, {}, {}), ({"weights": [1]}, {}, {}),
     ({"weights": {"a": "b"}}, {}, {}), ({}, {"risk": None}, {}), ({}, {"promised": "no"}, {}),
     ({}, {}, {"outputs": []}), ({}, {}, {"judges": []}), ({}, {}, {"task": 3})],
)  # fmt: skip
def test_a_calibration_that_is_none_is_refused_and_says_where(tmp_path, third, output, document):
    """By hand, or by a merge: a NaN threshold would be under no probability, and let every text pass."""
    write(tmp_path, "line", 0.35, judges(), **{k: v for k, v in third.items() if k != "threshold"})
    path = calibration_path(tmp_path, "plants", "line")
    found = json.loads(path.read_text())
    for one in found["outputs"]["line"]["thirds"]:
        one.update(third)
    found["outputs"]["line"].update(output)
    path.write_text(json.dumps(found | document))
    with pytest.raises(InputError, match=r"line\.json: no calibration .*eval --recalibrate"):
        read_calibration(path)


def test_a_calibration_that_was_copied_from_another_task_is_refused(tmp_path):
    made = world()
    write(tmp_path, "line", 0.35, judges())
    path = calibration_path(tmp_path, "plants", "line")
    path.write_text(path.read_text().replace('"task": "line"', '"task": "other"'))
    with pytest.raises(InputError, match="is of task other"):
        again(made, tmp_path)

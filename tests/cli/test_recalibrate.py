"""`tokenrec eval --recalibrate`: from labels to a judge fitted to the task, a threshold that keeps a promise, and rates
of what is then accepted."""

import json
import random

import pytest

from tests.cli.test_eval import evaluate
from tests.generate.test_resettle import WORDS
from tokenrec.cli.main import run
from tokenrec.store import completions as store
from tokenrec.store.store import open_store
from tokenrec.tasks.inputs import Prompt
from tokenrec.tasks.program import Answer
from tokenrec.tasks.spec import input_hash

N = 240
RECIPE = """\
name: plants
data:
  items: {path: plants.jsonl, id: pid, text: [name, parts]}
  events: {path: events.csv, user: buyer, item: pid, time: day}
tasks:
  about:
    for: item
    inputs: [name, parts]
    write: Say what the plant has.
    outputs:
      about: {type: text, max_words: 60, judge: detector, factuality: {risk: RISK, on_unmet: ON}UNSUPPORTED}
eval: {labels: labels.jsonl}
"""


@pytest.fixture
def project(tmp_path):
    """Plants of a dozen parts each, and texts of one to three sentences: a third of these name what the plant has not."""
    rng = random.Random(1)
    (tmp_path / "tokenrec.yaml").write_text("store: s.db\n")
    plants, labels, rows, prompts = [], [], [], []
    for i in range(N):
        words = rng.sample(WORDS[::2], 12) + rng.sample(WORDS[1::2], 12)  # what no plant has, no rule knows
        inputs = {"name": f"Plant {i}", "parts": words[:12]}
        sentences, bad = [], []
        for k in range(rng.randint(1, 3)):
            false = rng.random() < 0.35
            said = words[12 * false + 4 * k :][:3]
            sentences.append(f"{said[0].title()} {said[1]} beside {said[2]}.")
            bad += [sentences[-1]] * false
        output = {"about": " ".join(sentences)}
        plants.append({"pid": f"p{i}", **inputs})
        label = {"label": "hallucination", "unsupported": bad} if bad else {"label": "sound"}
        labels.append({"task": "about", "subject": f"p{i}", "output": output, **label})
        prompts.append(Prompt(f"p{i}", f"Plant {i}", inputs, input_hash(inputs)))
        rows.append((store.Key("program", "lm", prompts[-1].hash, 0), inputs, Answer(json.dumps(output))))
    for name, lines in (("plants", plants), ("labels", labels)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "events.csv").write_text("buyer,pid,day\n" + "".join(f"b{i % 7},p{i % N},{i}\n" for i in range(300)))
    db = open_store(tmp_path / "s.db")
    store.save_program(db, "plants", "about", "program", "lm", "", {})
    store.save_subjects(db, "plants", "about", "item", "program", "lm", prompts)
    store.insert_answers(db, "about", None, rows)
    store.set_current(db, "plants", "about", "program", "lm", "stale")
    db.conn.close()
    recipe(tmp_path)
    return tmp_path


def recipe(project, risk=0.15, on="flag", unsupported=""):
    text = RECIPE.replace("RISK", str(risk)).replace("ON}", on + "}").replace("UNSUPPORTED", unsupported)
    (project / "r.yaml").write_text(text)


def test_a_promise_is_made_and_kept(project, capsys):
    before, _ = evaluate(project, capsys)
    assert before["tasks"][0]["promises"][0]["promised"] is False and before["recalibrated"] == []
    found, _ = evaluate(project, capsys, "--recalibrate")
    row, task = found["recalibrated"][0], found["tasks"][0]
    assert row["labels"] > 0.7 * N and row["promised"] and "15%" in row["said"]
    assert row["gain"]["auroc_after"] > row["gain"]["auroc_before"] - 0.02
    assert row["gain"]["brier_after"] < row["gain"]["brier_before"]
    promise = task["promises"][0]
    assert promise["promised"] and promise["stale"] is None and promise["labels"] == row["labels"]
    rate = {when: found["tasks"][0]["hallucination_rate"][when] for when in ("before", "after")}
    assert rate["after"]["value"] < 0.5 * rate["before"]["value"] and rate["after"]["audited"] > 0
    assert 0.3 * N < task["texts"]["after"] < N
    again, err = evaluate(project, capsys)  # the file is read by every later run, and nothing is judged again
    assert again["tasks"][0]["texts"] == task["texts"] and "judged again" not in err


def test_sentences_are_dropped_where_that_is_asked_for(project, capsys):
    recipe(project, unsupported=", unsupported: drop")
    found, _ = evaluate(project, capsys, "--recalibrate")
    assert found["tasks"][0]["promises"][0]["promised"]
    db = open_store(project / "s.db")
    rows = list(db.query("select output, kept from completions where kept is not null"))
    tokens = store.tokens(db, "plants", "about")
    db.conn.close()
    labels = map(json.loads, (project / "labels.jsonl").read_text().splitlines())
    false = {q for label in labels for q in label.get("unsupported", [])}
    gone = [s for r in rows for s in json.loads(r["output"])["about"].split(". ")
            if s.rstrip(".") not in json.loads(r["kept"])["about"]]  # fmt: skip
    assert len(rows) > 20 and sum(s.rstrip(".") + "." in false for s in gone) > 0.7 * len(gone)
    assert len(tokens) > 0.75 * N


def test_what_can_not_be_promised_is_said_and_rejected_where_asked(project, capsys):
    recipe(project, risk=0.01, on="reject")
    found, _ = evaluate(project, capsys, "--recalibrate")
    promise, task = found["tasks"][0]["promises"][0], found["tasks"][0]
    assert not promise["promised"] and "can't be promised" in promise["said"] and "could be" in promise["said"]
    assert task["texts"]["after"] == 0
    recipe(project, risk=0.01, on="flag")
    found, _ = evaluate(project, capsys)
    assert found["tasks"][0]["texts"]["after"] > 0.7 * N


def test_a_calibration_of_another_prompt_or_risk_is_stale_and_says_so(project, capsys):
    evaluate(project, capsys, "--recalibrate")
    path = project / "programs/calibrated/plants/about.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"program_id": "an earlier one"}))
    found, err = evaluate(project, capsys)
    assert "another prompt" in found["tasks"][0]["promises"][0]["stale"] and "its threshold is stale" in err
    path.write_text(json.dumps(document))
    recipe(project, risk=0.05)
    found, err = evaluate(project, capsys)
    assert "made for risk 0.15" in found["tasks"][0]["promises"][0]["stale"]
    path.write_text("{broken")
    assert run(["eval", str(project / "r.yaml")]) == 2
    assert "about.json: no calibration" in capsys.readouterr().err


def test_without_a_judge_or_a_label_there_is_nothing_to_fit(project, capsys):
    (project / "labels.jsonl").write_text("")
    assert run(["eval", str(project / "r.yaml"), "--recalibrate"]) == 2
    assert "tokenrec audit" in capsys.readouterr().err
    judged = "judge: detector, factuality: {risk: 0.15, on_unmet: flag}"
    (project / "r.yaml").write_text((project / "r.yaml").read_text().replace(judged, "min_words: 1"))
    assert run(["eval", str(project / "r.yaml"), "--recalibrate"]) == 2
    assert "judge: detector" in capsys.readouterr().err


def test_the_table_tells_people_what_is_promised(project, capsys):
    assert run(["eval", str(project / "r.yaml"), "--recalibrate"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "about.about promises: at most 15% of accepted sentences unsupported (90% confidence, 1" in out
    assert "On labels that the fit has not seen: AUROC" in out


def test_a_file_of_texts_says_what_is_left_of_each(project, capsys):
    recipe(project, unsupported=", unsupported: drop")
    evaluate(project, capsys, "--recalibrate")
    lines = [json.loads(line) for line in (project / "labels.jsonl").read_text().splitlines()]
    texts = [{key: line[key] for key in ("subject", "task", "output")} for line in lines]
    (project / "theirs.jsonl").write_text("".join(json.dumps(t) + "\n" for t in texts))
    document, _ = evaluate(project, capsys, "--completions", str(project / "theirs.jsonl"))
    with open(document["verdicts"]) as file:
        verdicts = [json.loads(line) for line in file]
    cut = [(t["output"]["about"], v["kept"]["about"]) for t, v in zip(texts, verdicts, strict=True) if "kept" in v]
    assert len(cut) > 20 and all(len(left) < len(whole) for whole, left in cut)
    assert all(v["accepted"] for v in verdicts if "kept" in v)

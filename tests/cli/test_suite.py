"""`tokenrec eval SUITE.yaml`: labelled cases that the gates are tried on."""

import json
from pathlib import Path

import pytest
import yaml

from tokenrec.cli.main import run

ROOT = Path(__file__).parents[2]
SUITE = """\
kind: suite
name: little
cases: [cases.jsonl]
tasks:
  line:
    outputs: {line: {type: text, max_words: 12}}
  taste:
    outputs: {tags: {type: tags, choices: [hot, sour], max: 1}}
"""
RECORD = {"name": "Dal", "minutes": 40, "ingredients": ["lentils", "ghee"]}


def case(n, output, expect="reject", kind="refusal", task="line", **more):
    more = {"expect": expect, "kind": kind} | more
    return {"id": f"c{n}", "task": task, "name": "Dal", "record": RECORD, "output": output} | {
        k: v for k, v in more.items() if v is not None
    }


GOOD = [
    case(1, "I'm sorry, but I cannot describe this dish.", why="talks about itself"),
    case(2, {"line": "Lentils in ghee, done in 90 minutes."}, kind="number"),
    case(3, "Soft lentils under hot ghee, two thirds of an hour.", "accept", "paraphrase"),
    case(4, ["hot", "sour"], task="taste", kind="list_size"),
    case(5, {"tags": ["hot"]}, "accept", "tags", task="taste"),
    case(6, "Lentils with a long, long story.", "reject", "attribute", why="no story"),
]


@pytest.fixture
def write(tmp_path):
    (tmp_path / "tokenrec.yaml").write_text("store: s.db\n")

    def put(suite=SUITE, cases=GOOD):
        (tmp_path / "suite.yaml").write_text(suite)
        text = cases if isinstance(cases, str) else "".join(json.dumps(c) + "\n" for c in cases)
        (tmp_path / "cases.jsonl").write_text(text)
        return str(tmp_path / "suite.yaml")

    return put


def trial(path, capsys, code=0, *args):
    assert run(["eval", path, "--json", *args]) == code
    document = json.loads(capsys.readouterr().out)
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((ROOT / f"tokenrec/report/schemas/{document['kind']}.schema.json").read_text())
    jsonschema.validate(document, schema)
    return document if code != 2 else document["message"]


def test_shares_by_kind_and_the_wrong_ones(write, capsys):
    document = trial(write(), capsys)
    assert (document["suite"], document["cases"], document["caught"], document["false_alarms"]) == ("little", 6, 0.75, 0)
    assert document["by_kind"]["number"] == {"reject": 1, "caught": 1, "accept": 0, "false_alarms": 0}
    assert [c["id"] for c in document["missed"]] == ["c6"] and document["missed"][0]["place"] == "cases.jsonl:6"
    assert run(["eval", write()]) == 0
    got = capsys.readouterr().out
    assert "missed cases.jsonl:6 c6 (attribute: no story)" in got and "75.0% of those to reject" in got


@pytest.mark.parametrize(("fail_if", "code", "verdicts"), [
    ('{caught: "< 0.75", false_alarms: "> 0"}', 0, []), ('{caught: "< 0.95"}', 1, ["failed"]),
    ('{caught: "< 0.95", false_alarms: "> 0.02"}', 1, ["failed"]),
])  # fmt: skip
def test_limits(write, capsys, fail_if, code, verdicts):
    document = trial(write(SUITE + f"fail_if: {fail_if}\n"), capsys, code)
    assert [limit["verdict"] for limit in document["failed_limits"]] == verdicts


def test_struck_cases_and_neighbours_do_not_count(write, capsys):
    cases = [*GOOD, case(7, "An odd one, but nobody scores it.", None, None)]
    document = trial(write(SUITE + "struck: {c6: the story is on the label}\n", cases), capsys)
    assert document["cases"] == 5 and document["caught"] == 1
    assert document["struck"][0]["why"] == "the story is on the label"


def test_batches_are_judged_together(write, capsys):
    same = "Slow warmth in a bowl for grey evenings."
    cases = [case(i, same, kind="collapse", subject=f"s{i}", batch="a") for i in range(4)]
    cases += [case(9, same, "accept", "sound", batch="b")]
    document = trial(write(SUITE.replace("  line:\n", "  line:\n    batch: true\n"), cases), capsys)
    assert document["caught"] == 1 and document["false_alarms"] == 0


@pytest.mark.parametrize(("suite", "words"), [
    (SUITE.replace("kind: suite", "kind: suit"), 'suite.yaml:1: kind: cannot be "suit"'),
    (SUITE.replace("max_words", "maxwords"), "suite.yaml:6: tasks.line.outputs.line.maxwords: is no key that is known. did you mean max_words?"),
    (SUITE + "fail_if: {cought: \"< 1\"}\n", "suite.yaml:9: fail_if.cought: is no key that is known. did you mean caught?"),
    (SUITE + "fail_if: {caught: \"> 0.9\"}\n", 'suite.yaml:9: fail_if.caught: "> 0.9" is no limit for caught'),
    (SUITE + "fail_if: {caught: \"< 95\"}\n", "is no share"),
    (SUITE + "struck: {c99: gone}\n", "suite.yaml:9: struck.c99: is no case of this suite"),
    (SUITE.replace("cases.jsonl", "case.jsonl"), "suite.yaml:3: cases[0]: case.jsonl is not there. did you mean cases.jsonl?"),
    (SUITE.replace("max: 1", "max: 1.5"), "suite.yaml:8: tasks.taste.outputs.tags.max: 1.5 is no number of tags"),
    (SUITE.replace("max: 1", "max: 1, or_non: true"), "did you mean or_none?"),
    (SUITE.replace("[cases.jsonl]", '["make.py:"]'), "names no function"),
    (SUITE.replace("    outputs: {line", "    catalogue: none.jsonl\n    outputs: {line"), "tasks.line.catalogue: none.jsonl is not there"),
])  # fmt: skip
def test_faults_of_the_yaml(write, capsys, suite, words):
    assert words in trial(write(suite), capsys, 2)


@pytest.mark.parametrize(("line", "words"), [
    ("{", "cases.jsonl:2: no JSON"), (case(9, "x") | {"expct": "reject"}, "cases.jsonl:2: expct: unknown key. did you mean expect?"),
    (case(9, "x", "refuse"), "cases.jsonl:2: expect: input should be 'reject' or 'accept'"),
    (case(9, "x", task="lin"), "task: lin is no task of this suite. did you mean line?"),
    (case(9, "x", kind=None), "lacks kind"), ({"task": "line", "output": "x"}, "lacks id"),
    (case(1, "x"), "cases.jsonl:2: id: c1 is already used at cases.jsonl:1"),
    (case(9, "x", batch="b"), "is judged a case at a time"), (case(9, "x") | {"place": "y"}, "place: unknown key"),
])  # fmt: skip
def test_faults_of_the_cases(write, capsys, line, words):
    text = json.dumps(GOOD[0]) + "\n" + (line if isinstance(line, str) else json.dumps(line)) + "\n"
    assert words in trial(write(cases=text), capsys, 2)


def test_cases_made_by_a_function(write, capsys):
    path = write(SUITE.replace("[cases.jsonl]", '["make.py:cases"]') + 'fail_if: {caught: "< 0.9"}\n')
    make = Path(path).parent / "make.py"
    make.write_text(f"def cases(folder):\n    yield from {GOOD[:2]!r}\n")
    assert trial(path, capsys)["cases"] == 2
    make.write_text("def cases(folder):\n    raise FileNotFoundError('no texts here')\n")
    document = trial(path, capsys, 5)
    assert document["notes"] == ["skipped: no texts here"] and document["failed_limits"][0]["verdict"] == "unknown"
    assert run(["eval", path]) == 5 and "no case to say whether" in capsys.readouterr().out
    for text, words in [("cases = 3\n", "TypeError"), ("1/0\n", "ZeroDivisionError"),
                        ("def cases(folder):\n    yield {'id': 'a'}\n", "case 1: lacks task")]:  # fmt: skip
        make.write_text(text)
        assert words in trial(path, capsys, 2)


def test_options_of_recipes_are_refused(write, capsys):
    assert "--completions goes with a recipe" in trial(write(), capsys, 2, "--completions", "x.jsonl")


@pytest.mark.parametrize("name", ["gates", "fresh", "defects"])
def test_editors_find_the_schema_of_a_suite(name, capsys):
    jsonschema = pytest.importorskip("jsonschema")
    path = ROOT / f"evals/{name}.yaml"
    first = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert run(["recipe", "schema", "--suite"]) == 0
    printed = capsys.readouterr().out
    assert (path.parent / first).read_text(encoding="utf-8") == printed
    check, suite = jsonschema.Draft202012Validator(json.loads(printed)), yaml.safe_load(path.read_text(encoding="utf-8"))
    check.validate(suite)
    assert not check.is_valid(suite | {"case": []}) and not check.is_valid(suite | {"tasks": {}})


def test_one_schema_at_a_time(capsys):
    assert run(["recipe", "schema", "--suite", "--project"]) == 2
    assert "Name one" in capsys.readouterr().err


def test_the_shipped_suite_keeps_its_limits(capsys):
    document = trial(str(ROOT / "evals/gates.yaml"), capsys)
    assert document["cases"] >= 80 and document["caught"] >= 0.95 and document["false_alarms"] <= 0.02

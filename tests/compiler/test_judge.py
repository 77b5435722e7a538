"""compile --judge: a judge that learns from its demonstrations or its threshold is measured on labels it has not seen."""

import json
import re

import jsonschema
import pytest

from tests.end_to_end.server import serving
from tests.end_to_end.worlds import ROOT, dishes, meals, menu_line, project, store, tokenrec, write
from tests.generate.test_fact_judge import RECIPE, TASK, verdicts
from tokenrec.compiler.judge import f1
from tokenrec.generate.fact_judge import measures

N = 60
CAUGHT = "with truffles"  # what makes a line unsupported, in words that any judge may see
LABELLED = RECIPE + "eval: {labels: data/labels.jsonl}\n"


def world(root, url: str, n: int = N, labels: int = N):
    items = [d | {"dish_id": f"d{i:03}"} for i, d in enumerate(dishes(n))]
    recorded, lines = [], []
    for i, item in enumerate(items):
        bad = i % 2 == 1
        line = menu_line(item["ingredients"]).rstrip(".") + (f" {CAUGHT}." if bad else ".")
        output = {"line": line}
        recorded.append({"task": "menu_line", "subject": item["dish_id"], "output": output})
        label = {"task": "menu_line", "subject": item["dish_id"], "output": output, "label": "hallucination" if bad else "sound"}
        lines.append(label | ({"unsupported": [CAUGHT]} if bad else {}))
    write(root / "data/labels.jsonl", "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in lines[:labels]))
    more = f"  served: {{kind: api, model: openai/small, api_base: '{url}', price: {{input: 2, output: 8}}}}\n"
    return project(root, items=items, events=meals(items, users=30, each=4), recorded=recorded, recipe=LABELLED, more=more)


def learner(text: str) -> str:
    """Knows what is unsupported once a demonstration shows it; before that it guesses by the length of the record."""
    asked = text.rsplit("[[ ## record ## ]]", 1)[-1]
    sees = CAUGHT in asked
    taught = re.search(r'"verdicts":\s*\[\s*"not_stated"', text.rsplit("[[ ## record ## ]]", 1)[0])
    if taught or len(asked) % 3 == 0:
        return verdicts(text, "not_stated" if sees else "supported")
    return verdicts(text, "supported")


def compiled(recipe, *more):
    code, document, said = tokenrec("compile", recipe, "--judge", *more)
    if code in (0, 5):
        schema = json.loads((ROOT / "tokenrec/report/schemas/judge.schema.json").read_text(encoding="utf-8"))
        jsonschema.validate(document, schema)
    return code, document, said


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A project whose texts are written, whose judge was compiled, and which was then compiled again."""
    root = tmp_path_factory.mktemp("learned")
    with serving(learner) as served:
        recipe = world(root, served.url)
        code, _, said = tokenrec("compile", recipe)
        assert code == 0, said
        before = len(served.requests)
        code, document, said = compiled(recipe)
        assert code == 0, said
        asked = len(served.requests) - before
        again = compiled(recipe)
        calls = len(served.requests)
        code, second, said = tokenrec("compile", recipe)
        assert code == 0, said
    return root, document, asked, again, second, len(served.requests) - calls


def test_demonstrations_that_help_on_unseen_labels_are_saved(learned):
    root, document, asked, *_ = learned
    (judge,) = document["judges"]
    assert judge["saved"], judge
    assert judge["difference"]["auroc"]["low"] > 0 and judge["after"]["f1"]["value"] > judge["before"]["f1"]["value"]
    held = [i for i in range(N) if measures("menu_line", f"d{i:03}")]
    assert judge["labels"]["measuring"]["texts"] == len(held) and judge["labels"]["compiling"]["texts"] == N - len(held)
    assert "are few" in judge["note"] and document["lm_calls"] == asked
    lock = json.loads((root / f"programs/compiled/small/{TASK}@openai-small.json").read_text(encoding="utf-8"))
    shown = json.dumps(lock["state"]["write"]["demos"], ensure_ascii=False)
    assert lock["state"]["write"]["demos"] and lock["program_id"] != lock["source_id"]
    sentences = [f"1. {menu_line(d['ingredients']).rstrip('.')}" for d in dishes(N)]
    assert not any(sentences[i] in shown for i in held if sum(s == sentences[i] for s in sentences) == 1)


def test_the_compiled_judge_is_the_one_that_judges_from_then_on(learned):
    root, document, _, _, second, calls = learned
    judged = {j["task"]: j for j in second["judges"]}[TASK]
    assert judged["judged"] == judged["texts"] and judged["asked"] == calls < N  # labelled texts were answered already
    lock = json.loads((root / f"programs/compiled/small/{TASK}@openai-small.json").read_text(encoding="utf-8"))
    current = store(root).execute("select program_id from current where task = ?", [TASK]).fetchone()[0]
    assert current == lock["program_id"]
    scores = store(root).execute(
        "select c.output, v.score from verdicts v join completions c using (completion_id) where v.gate = 'factuality/lm'")
    assert all((score > 0.5) == (CAUGHT in output) for output, score in scores)


def test_labels_that_compiled_it_do_not_measure_it(learned):
    root, document, *_ = learned
    code, found, _ = tokenrec("eval", root / "recipe.yaml")
    gates = found["tasks"][0]["gates"]["hallucination"]
    assert code == 0 and gates["labels"] == document["judges"][0]["labels"]["measuring"]["texts"] and gates["auroc"] == 1
    assert any("compiled on half of the labels" in note for note in found["notes"])


def test_what_it_cost_has_a_purpose_and_the_figures_of_the_compile_stay(learned):
    root, *_ = learned
    code, document, _ = tokenrec("cost", root / "recipe.yaml")
    spent = {p["purpose"] for p in document["purposes"] if p["task"] == TASK}
    assert code == 0 and spent == {"judge", "search"}
    code, document, _ = tokenrec("prune", root / "recipe.yaml", "--dry-run")
    assert code == 0 and document["removed"]["metrics"] == document["removed"]["files"] == 0


def test_a_judge_that_nothing_helps_stays(learned):
    """The second time the compiled judge is the one to beat, and it is right everywhere."""
    code, document, _ = learned[3]
    (judge,) = document["judges"]
    assert code == 0 and not judge["saved"] and "the judge stays" in judge["note"]
    assert judge["before"]["auroc"]["value"] == 1.0


def test_too_few_labels_say_so_and_ask_nothing(tmp_path):
    with serving(learner) as served:
        recipe = world(tmp_path, served.url, n=12, labels=12)
        assert tokenrec("compile", recipe)[0] == 0
        asked = len(served.requests)
        code, document, _ = compiled(recipe)
        assert code == 5 and "it takes 5 of either kind" in document["judges"][0]["note"] and len(served.requests) == asked
    write(tmp_path / "other.yaml", recipe.read_text(encoding="utf-8").replace("judge: lm}", "judge: rules}"))
    code, document, _ = compiled(tmp_path / "other.yaml")
    assert code == 2 and "no output has judge: lm" in document["message"]


def test_f1():
    import numpy as np

    assert f1(np.array([True, True, False]), np.array([True, False, True])) == 0.5
    assert f1(np.array([False]), np.array([False])) == 0

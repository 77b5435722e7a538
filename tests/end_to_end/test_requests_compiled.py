"""Prompts of requests, searched and promoted: by what they find that the prompt did not show, tested on other people."""

import json
import random
import re
from contextlib import contextmanager

import pytest

from tests.compiler.worlds import menu
from tests.end_to_end.server import hash_of, serving
from tests.end_to_end.test_main_job import holds
from tests.end_to_end.worlds import project, store, tokenrec

RECIPE = """\
name: asked
data:
  items: {path: data/dishes.jsonl, id: dish_id, name: name, text: [name, cuisine, ingredients]}
  events: {path: data/events.csv, user: user_id, item: dish_id, time: at, value: rating, positive: ">= 4"}
  simulated: true
tasks:
  craving:
    for: set
    writer: WRITER  # the recipe's own, the embedded model, is asked nothing
    use: mint.NarrativeQuery
    with: {demos: 1}
    sets: {min_reviews: 3, min_liked: 3, max_liked: 40, items: 3, liked: positive}
    outputs: {query: {type: text, max_words: 60, grounding: none}}
    examples: [{liked: [Plum Cake], query: "A cake for many people, please, and not too sweet?"}]
ranker: {seeds: 1, negatives: 10}
compile: {tasks: [craving], instructions: ["Ask well for it.", "Ask again."], budget: {calls: 400}}
"""
DISHES = menu(150)
CUISINE = {d["name"]: d["cuisine"] for d in DISHES}
WORDS = sorted({w for d in DISHES for w in d["method"].lower().split() if w.isascii() and w.isalpha() and len(w) > 4})


def writes(text: str) -> str:
    """Names the cuisine of what it is shown where its instruction says "well"; else it talks of something else."""
    shown = re.findall(r"\[\[ ## liked ## \]\]\n(\[.*?\])\n", text, re.S)[-1]
    draw = random.Random(hash_of(shown))
    talk = " ".join(draw.sample(WORDS, 6))
    cuisines = [CUISINE[name] for name in json.loads(shown)]
    wish = max(set(cuisines), key=cuisines.count) if " well " in text else draw.choice(sorted(set(CUISINE.values())))
    return json.dumps({"query": f"I want {wish} dishes, the {wish} kind that we {talk}?"})


def eaten(users: int = 220, each: int = 12) -> list[tuple]:
    """Everybody has one cuisine and, nine times in ten, eats nothing else."""
    draw, rows = random.Random(2), []
    by = {}
    for d in DISHES:
        by.setdefault(d["cuisine"], []).append(d)
    large = sorted(c for c, some in by.items() if len(some) >= 6)
    for u in range(users):
        mine = by[draw.choice(large)]
        rows += [(draw.random() * 300, f"u{u:03}", draw.choice(mine if draw.random() < 0.9 else DISHES)["dish_id"], 5)
                 for _ in range(each)]  # fmt: skip
    return [(u, d, round(t, 3), v) for t, u, d, v in sorted(rows)]


@contextmanager
def asked_of(root, answer, events, recipe=RECIPE):
    """(a project whose writer is `answer`, behind a local server; that server)."""
    with pytest.MonkeyPatch.context() as patch, serving(answer) as served:
        patch.setenv("OPENAI_API_KEY", "none")
        models = f"{{kind: api, model: openai/small, api_base: '{served.url}', price: {{input: 2, output: 8}}}}"
        yield project(root, items=DISHES, events=events, recorded=[], recipe=recipe, writer="served", models=models), served


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    root = tmp_path_factory.mktemp("requests")
    with asked_of(root, writes, eaten()) as (path, served):
        code, document, said = tokenrec("compile", path)
        assert code == 0, said
        holds(document)
        yield root, path, document, served


def test_the_prompt_that_finds_more_is_promoted(compiled):
    root, _, document, _ = compiled
    [found] = document["searches"]
    assert found["scores"][0] > found["incumbent_score"] + 0.15, found
    [test] = document["promotions"]
    assert test["promoted"] and test["delta"] > 0.15 and test["p"] < test["alpha"] == 0.025, test
    told = store(root).execute(
        "select json_extract(p.state, '$.write.signature.instructions') from current c join programs p using (program_id)"
    ).fetchone()[0]
    assert told == "Ask well for it."
    assert (root / "programs/compiled/asked").is_dir(), "the prompt is kept for the next run"


def test_it_was_chosen_on_other_people_than_it_was_tested_on(compiled):
    root, _, document, _ = compiled
    db = store(root)
    [test] = document["promotions"]
    other = {r[0] for r in db.execute(
        "select distinct o.user from sources o join programs p using (program_id)"
        " where json_extract(p.state, '$.write.signature.instructions') = 'Ask again.'"
    )}  # fmt: skip
    everybody = {r[0] for r in db.execute("select user from sources where program_id = ?", [test["challenger"]])}
    assert 20 <= len(other) < 0.7 * len(everybody)


def test_an_unchanged_second_run_asks_nothing_and_tests_nothing(compiled, monkeypatch):
    _, path, _, served = compiled
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    before = len(served.requests)
    code, again, said = tokenrec("compile", path)
    assert code == 0 and again["promotions"] == [], said
    search_again = len(served.requests) - before
    assert again["looks"]["tune_b"] <= 2 and search_again <= 400, "the new incumbent may be raced once"
    before = len(served.requests)
    code, third, said = tokenrec("compile", path)
    assert code == 0 and len(served.requests) == before and third["promotions"] == [], said


def test_too_few_people_are_not_asked(tmp_path):
    with asked_of(tmp_path, writes, eaten(60)) as (path, _):
        code, document, said = tokenrec("compile", path)
        assert code == 0 and "too few" in document["searches"][0]["note"] and not document["promotions"], said

"""Prompts of inventions, searched: by how much better the next items are found with an invented one in the history."""

import json
import random
import re

import pytest

from tests.end_to_end.server import hash_of
from tests.end_to_end.test_main_job import holds
from tests.end_to_end.test_requests_compiled import CUISINE, DISHES, WORDS, asked_of, eaten
from tests.end_to_end.worlds import store, tokenrec

RECIPE = """\
name: invented
data:
  items: {path: data/dishes.jsonl, id: dish_id, name: name, text: [name, cuisine, ingredients]}
  events: {path: data/events.csv, user: user_id, item: dish_id, time: at, value: rating, positive: ">= 4"}
  simulated: true
objective: {metric: ndcg@10, slice: sparse_users}
lm: {writer: WRITER}
tasks:
  imagined:
    for: user
    use: genre.ItemInventor
    history: {most: 5, min: 1, show: [name]}
    augment: {under: 5, weights: [0.5, 1]}
    outputs:
      name: {type: text, max_words: 14, grounding: none}
      ingredients: {type: text, max_words: 25, grounding: none}
    examples: [{liked: [Plum Cake], name: Quince Tart with Thyme, ingredients: "quinces, thyme, butter, flour"}]
ranker: {seeds: 1, negatives: 10}
compile: {tasks: [imagined], instructions: ["Invent well what they would like."], budget: {calls: 200}}
"""
OF = {}
for d in DISHES:
    OF.setdefault(d["cuisine"], set()).update(d["ingredients"])


def writes(text: str) -> str:
    """A dish of the cuisine that it is shown where its instruction says "well"; else of any other."""
    shown = json.loads(re.findall(r"\[\[ ## liked ## \]\]\n(\[.*?\])\n", text, re.S)[-1])
    draw = random.Random(hash_of(str(shown)))
    cuisines = [CUISINE[name] for name in shown]
    mine = max(set(cuisines), key=cuisines.count)
    kind = mine if " well " in text else draw.choice(sorted(set(CUISINE.values()) - {mine}))
    made = draw.sample(sorted(OF[kind]), min(6, len(OF[kind])))
    name = f"{kind.title()} {made[0]} with {made[1]} and {draw.choice(WORDS)} {draw.choice(WORDS)}"
    return json.dumps({"name": name, "ingredients": ", ".join(made)})


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    root = tmp_path_factory.mktemp("inventions")
    with asked_of(root, writes, eaten(400, 7), RECIPE) as (path, _):
        code, document, said = tokenrec("compile", path, "--force")
        assert code == 0, said
        holds(document)
        yield root, path, document, said


def test_the_better_inventor_is_found_and_weighed_anew(compiled):
    root, _, document, said = compiled
    [found] = document["searches"]
    assert found["scores"][0] > found["incumbent_score"] + 0.005, found
    assert "weight 0" in said or "no weight" in said or found["lite_challenger"] is not None, (found, said)
    told = store(root).execute("select count(distinct program_id) from completions where task = 'imagined'").fetchone()[0]
    assert told == 2, "the finalist wrote for everybody"
    if document["promotions"]:
        [test] = document["promotions"]
        assert test["incumbent"] != test["challenger"]
        assert found["lite_challenger"] > found["lite_incumbent"]
    else:
        assert "no look at tune-B was spent" in found["note"], found


def test_inventions_stay_inventions(compiled):
    db = store(compiled[0])
    kinds = {r[0] for r in db.execute("select distinct kind from subjects where task = 'imagined'")}
    assert kinds == {"synthetic"}

"""`tokenrec factors` asks once, shows what may be sent, and prints a task that a recipe can hold."""

import json

import pytest
import yaml

from tests.end_to_end.server import serving
from tests.end_to_end.test_main_job import holds
from tests.end_to_end.worlds import RECIPE, dishes, meals, project, store, tokenrec, write
from tokenrec.tasks.factors import read_factors

SAID = """Here are the factors:
1. Heat and Spice: how hot it is, and which spices carry it.
- **Texture**: crisp, creamy, brothy or chewy
* Region: where it is cooked, and on which days
Texture: again
no factor here
<script>: alert
"""


def world(root, url, recipe=RECIPE):
    items = dishes()
    more = f"  served: {{kind: api, model: openai/small, api_base: '{url}', price: {{input: 2, output: 8}}}}\n"
    return project(root, items=items, events=meals(items), recorded=[], recipe=recipe.replace("WRITER", "served"), more=more)


def test_what_the_model_proposes_becomes_a_task(tmp_path):
    with serving(lambda text: json.dumps({"factors": SAID})) as served:
        recipe = world(tmp_path, served.url, RECIPE + "privacy: {send: [name, ingredients, cuisine]}\n")
        code, document, _ = tokenrec("factors", recipe)
        (asked,) = served.texts()
    holds(document)
    assert code == 0 and document["proposed"] and document["lm_calls"] == 1 and document["cost_usd"] > 0
    assert [f["name"] for f in document["factors"]] == ["heat_and_spice", "texture", "region"]
    assert asked.count("cuisine: ") == 12 and "minutes: " not in asked
    (row,) = store(tmp_path).execute("select purpose, calls from spend")
    assert tuple(row) == ("factors", 1)
    task = yaml.safe_load(document["yaml"])
    made = yaml.safe_load(recipe.read_text())
    made["tasks"] = made["tasks"] | task
    write(tmp_path / "more.yaml", yaml.safe_dump(made, sort_keys=False))
    code, document, said = tokenrec("recipe", "check", tmp_path / "more.yaml")
    assert code == 0, said


def test_an_answer_without_factors_gives_those_for_any_domain(tmp_path):
    with serving(lambda text: json.dumps({"factors": "I love food."})) as served:
        recipe = world(tmp_path, served.url)
        code, document, said = tokenrec("factors", recipe)
    assert code == 0 and not document["proposed"] and 'the answer could be used ("' in document["note"]
    assert [f["name"] for f in document["factors"]] == ["attributes", "function", "occasion", "audience"]
    code, document, _ = tokenrec("factors", recipe, "--defaults")
    holds(document)
    assert code == 0 and document["lm_calls"] == 0 and document["lm"] is None


def test_a_server_that_refuses(tmp_path):
    with serving(lambda text: 400) as served:
        code, document, _ = tokenrec("factors", world(tmp_path, served.url))
    assert code == 4 and "Nothing was proposed" in document["message"]


@pytest.mark.parametrize("raw", ["", "{}", "null", '{"factors": 3}', '{"factors": ["a: b"]}', "mood: what it feels like"])
def test_any_answer_can_be_read(raw):
    assert all(f.name.isidentifier() and f.covers for f in read_factors(raw))

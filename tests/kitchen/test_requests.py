"""The recorded requests of recipes/kitchen_requests.yaml answer what the recipe asks, and name no dish."""

import json

import pytest

from tests.end_to_end.worlds import ROOT
from tokenrec.dataset.load import load_dataset
from tokenrec.lm.replay import read_recording
from tokenrec.recipe.load import load_recipe
from tokenrec.tasks.inputs import prompts
from tokenrec.tasks.spec import task_spec


@pytest.fixture(scope="module")
def kitchen():
    loaded = load_recipe(ROOT / "recipes/kitchen_requests.yaml")
    return loaded.recipe, load_dataset(loaded.recipe, loaded.folder)


@pytest.mark.parametrize("task, n", [("asking", 305), ("craving", 150)])
def test_every_prompt_has_its_answer(kitchen, task, n):
    recipe, data = kitchen
    recorded = read_recording(ROOT / "recipes/kitchen/requests.jsonl.gz")
    asked = list(prompts(recipe, data, task_spec(recipe, task), {}))
    assert len(asked) == n
    said = [json.loads(recorded[task, p.hash, 0]["raw"])["query"] for p in asked]
    assert len(set(said)) == n and all(recorded[task, p.hash, 0]["model"] == "claude" for p in asked)
    names = {i["name"].lower() for i in data.items if len(i["name"].split()) > 1}
    assert not [s for s in said if any(name in s.lower() for name in names)]

"""evals/benchmarks/narrative_requests.jsonl.gz answers today's prompts of recipes/narrative.yaml and quotes none of them."""

from pathlib import Path

import pytest
import yaml

from tokenrec.dataset.load import load_dataset
from tokenrec.gates.text import count_words, words
from tokenrec.lm.replay import read_recording
from tokenrec.recipe.models import Recipe
from tokenrec.tasks.inputs import prompts
from tokenrec.tasks.spec import task_spec

ROOT = Path(__file__).parents[2]
FOODCOM = ROOT.parent / "shared/data/foodcom_small"


def grams(text: str, n: int = 6) -> set[tuple[str, ...]]:
    said = words(text)
    return {said[i : i + n] for i in range(len(said) - n + 1)}


def shown(inputs: dict) -> list[str]:
    """What a prompt shows of reviews, names and descriptions."""
    return [*inputs.get("liked", []), *inputs.get("said", []), *(inputs[k] for k in ("name", "description") if k in inputs)]


def test_every_prompt_is_answered_in_words_of_its_own():
    if not FOODCOM.is_dir():
        pytest.skip(f"{FOODCOM} is not there")
    text = (ROOT / "recipes/narrative.yaml").read_text(encoding="utf-8")
    for name, file in {"RAW_recipes.csv": "recipes.parquet", "RAW_interactions.csv": "ratings.parquet"}.items():
        text = text.replace(f"foodcom/{name}", str(FOODCOM / file))
    made = Recipe.model_validate(yaml.safe_load(text))
    data = load_dataset(made, Path("/"))
    told = [(t, p) for t in made.tasks for p in prompts(made, data, task_spec(made, t), {})]
    recorded = read_recording(ROOT / "evals/benchmarks/narrative_requests.jsonl.gz")
    assert len(told) == 146 + 292 + 381
    source = set().union(*(grams(line) for _, p in told for line in shown(p.inputs)))
    for task, p in told:
        query, limits = recorded[task, p.hash, 0]["output"]["query"], made.tasks[task].outputs["query"]
        assert limits.min_words <= count_words(query) <= limits.max_words, query
        assert not grams(query) & source, query
        titles = [line.split(":")[0] for line in p.inputs.get("liked", [p.inputs.get("name")])]
        assert not any(f" {' '.join(words(t))} " in f" {' '.join(words(query))} " for t in titles), (query, titles)

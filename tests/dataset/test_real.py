"""The loader on real people, where ../shared/data is there, and on files shaped as Food.com ships them."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from tokenrec.dataset.lists import make_lists
from tokenrec.dataset.load import load_dataset
from tokenrec.dataset.stats import summary
from tokenrec.dataset.types import TEST
from tokenrec.recipe.models import Recipe

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
STARS = {"value": "rating", "positive": ">= 4", "none_value": 0}
FULL = ["name", "description", "ingredients"]
PACKS = {
    "foodcom_dense": (
        {"path": "recipes.parquet", "id": "id", "text": ["name", "description"], "facts": ["category", "minutes"],
         "where": "description"},
        {"path": "ratings.parquet", "user": "user", "item": "item", "time": "order", **STARS}, {},
        {"users": 3565, "items": 2587, "events": 148_505},
    ),
    "foodcom_small": (
        {"path": "recipes.parquet", "id": "id", "text": FULL, "facts": ["minutes", "nutrition"]},
        {"path": "ratings.parquet", "user": "user_id", "item": "recipe_id", "time": "date", **STARS}, {},
        {"users": 257, "items": 381, "events": 10_077},
    ),
    "recipes_demo": (
        {"path": "recipes.jsonl", "id": "id", "text": FULL, "facts": ["minutes", "steps", "tags", "nutrition"]},
        {"path": "ratings.csv", "user": "user", "item": "item", "time": "date", **STARS}, {},
        {"users": 257, "items": 293, "events": 5_001},
    ),
    "colakg_lastfm": (
        {"path": "llm_items.jsonl.gz", "id": "item", "text": ["name", "tags"]},
        {"path": "train.csv.gz", "user": "user", "item": "item", "value": "listen_count", "test": "test.csv.gz"},
        {"by": "given"},
        {"users": 1859, "items": 2813, "events": 71_294},
    ),
}  # fmt: skip


@pytest.mark.parametrize("pack", PACKS)
def test_published_packs_load_whole(pack):
    if not (SHARED / pack).is_dir():
        pytest.skip(f"../shared/data/{pack} is not here")
    items, events, split, want = PACKS[pack]
    recipe = Recipe.model_validate({"name": pack, "data": {"items": items, "events": events, "split": split}})
    data = load_dataset(recipe, SHARED / pack)
    told = summary(data)
    assert {k: told[k] for k in want} == want
    assert not any("skipped" in note for note in data.notes)
    lists = make_lists(data, TEST)
    assert len(lists) == told["lists_per_window"]["test"] and lists.missed.sum() == 0
    pair = lists.user[lists.list_of_row].astype(np.int64) * len(data.items) + lists.item_of_row
    had = data.events.user.astype(np.int64) * len(data.items) + data.events.item
    assert not np.isin(had[lists.before], pair).any()
    if pack == "colakg_lastfm":
        assert lists.label.sum() == 13_508
        assert data.items[data.item_ids.index("0")]["tags"][0] == "80s"
    if pack == "recipes_demo":
        assert isinstance(data.items[0]["ingredients"], list) and data.events.time[0] == 1017187200


def test_foodcom_recipe_reads_files_as_published(tmp_path):
    """Same columns and spelling as RAW_recipes.csv and RAW_interactions.csv; the rows are invented."""
    (tmp_path / "foodcom").mkdir()
    with (tmp_path / "foodcom" / "RAW_recipes.csv").open("w") as f:
        f.write(
            "name,id,minutes,contributor_id,submitted,tags,nutrition,n_steps,steps,description,ingredients,n_ingredients\n"
        )
        for n in range(20):
            told = "" if n == 7 else f'"plain, good\nand quick {n}"'
            f.write(f"soup  {n},{1000 + n},{n + 5},9,2005-09-16,\"['easy', 'soups']\",\"[51.5, 0.0]\",2,"
                    f"\"['boil', \"\"add cook's salt\"\"]\",{told},\"['water', 'salt']\",2\n")  # fmt: skip
    with (tmp_path / "foodcom" / "RAW_interactions.csv").open("w") as f:
        f.write("user_id,recipe_id,date,rating,review\n")
        for n in range(200):
            f.write(f'{n % 13},{1000 + n * 7 % 20},{2000 + n // 20}-02-17,{n % 6},"Great, ""really""\r\ngood. {n}"\n')
    recipe = Recipe.model_validate(yaml.safe_load((ROOT / "recipes" / "foodcom.yaml").read_text(encoding="utf-8")))
    data = load_dataset(recipe, tmp_path)
    assert len(data.items) == 19 and len(data.events) == 190
    first = data.items[0]
    assert first["ingredients"] == ["water", "salt"] and first["steps"] == ["boil", "add cook's salt"]
    assert first["description"] == "plain, good\nand quick 0" and first["minutes"] == 5
    assert np.isnan(data.events.value).sum() == sum(n % 6 == 0 and n * 7 % 20 != 7 for n in range(200))
    assert not data.events.positive[np.isnan(data.events.value)].any()

"""recipes/books.yaml on files as the UCSD Book Graph has them, and recipes/kitchen_knowledge.yaml as shipped."""

import json
import shutil

import numpy as np

from tests.end_to_end.worlds import ROOT, write
from tokenrec.dataset.load import load_dataset
from tokenrec.dataset.types import TEST
from tokenrec.recipe.load import load_recipe
from tokenrec.tasks.inputs import prompts
from tokenrec.tasks.spec import task_spec

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct"]


def test_goodreads_files_are_read_as_they_come(tmp_path):
    write(tmp_path / "tokenrec.yaml", "")
    (tmp_path / "recipes").mkdir()
    shutil.copy(ROOT / "recipes/books.yaml", tmp_path / "recipes/books.yaml")
    books = [{"book_id": str(100 + i), "title": f"The Lantern, part {i}", "description": "" if i == 3 else f"Volume {i}.",
              "publication_year": str(1990 + i), "authors": [{"author_id": "7", "role": ""}]} for i in range(20)]  # fmt: skip
    rows = [{"user_id": f"{u:032x}", "book_id": str(100 + (u + i) % 20), "is_read": True, "rating": (0, 3, 4, 5)[i % 4],
             "date_added": f"Fri {MONTHS[(u + i) % 10]} 08 10:44:{u:02} -0700 2017"} for u in range(30) for i in range(12)]  # fmt: skip
    for name, records in (("books", books), ("interactions", rows)):
        write(tmp_path / f"recipes/books/{name}.jsonl", "".join(json.dumps(r) + "\n" for r in records))
    loaded = load_recipe(tmp_path / "recipes/books.yaml")
    data = load_dataset(loaded.recipe, loaded.folder)
    assert len(data.item_ids) == 20 and len(data.user_ids) == 30 and data.timed
    assert set(data.events.value[data.events.positive]) == {4.0, 5.0}
    assert (np.diff(data.events.time) >= 0).all() and (data.events.window == TEST).any() and data.held.any()
    (one, *_) = prompts(loaded.recipe, data, task_spec(loaded.recipe, "knowledge"), {})
    assert set(one.inputs) == {"title", "publication_year"}  # what is known, not what the record tells anyway
    spec = task_spec(loaded.recipe, "knowledge")
    assert len(spec.outputs) == 8 and all(o.or_unknown and o.grounding == "open" for o in spec.outputs.values())
    assert loaded.recipe.objective.slice == "cold_items"


def test_every_factor_of_the_kitchens_knowledge_has_its_examples():
    loaded = load_recipe(ROOT / "recipes/kitchen_knowledge.yaml")
    task = loaded.recipe.tasks["knowledge"]
    assert task.inputs == ["name"] and loaded.recipe.data.simulated
    for name, output in task.outputs.items():  # a small model recites what no example shows
        assert {e[name] for e in task.examples} == set(output.choices), name

"""Full texts and true dates of real people, too few to show a lift: every kind of task in one small run."""

import json
import re

import pytest
import yaml

from tests.end_to_end.test_main_job import adds_up, holds
from tests.end_to_end.worlds import ROOT, sound, store, tokenrec, write

PACK = ROOT.parent / "shared/data/recipes_demo"
pytestmark = pytest.mark.skipif(not PACK.is_dir(), reason="../shared/data/recipes_demo is not here")
KINDS = """\
name: recipes_demo
data:
  items:
    path: recipes.jsonl
    id: id
    name: name
    text: [name, description, ingredients]
    facts: [minutes, steps, tags]
  events: {path: ratings.csv, user: user, item: item, time: date, value: rating, positive: ">= 4", none_value: 0}
tasks:
  digest:
    for: item
    inputs: [name, description]
    use: digest.KeySentences
    outputs: {digest: {type: text, max_words: 60, extract: true}}
    subjects: {most: 6, order: popular}
  plate:
    for: item
    inputs: [name, minutes, $flavour.taste]
    write: Guess how many plates of this dish a party of ten would eat.
    outputs: {plates: {type: number, min: 1, max: 50, grounding: none}}
    examples:
      - {name: garlic bread, minutes: 15, taste: [savory], plates: 20}
      - {name: pickled beets, minutes: 40, taste: [sour], plates: 3}
    max_tokens: 16
    subjects: {most: 6, order: popular}
ranker: {seeds: 1, negatives: 20}
"""


def demo(root):
    """The recipe app's own tasks on Food.com's files, and two of other kinds."""
    recipe = yaml.safe_load(KINDS)
    app = yaml.safe_load((ROOT / "recipes/recipe_app.yaml").read_text(encoding="utf-8"))["tasks"]
    for name in ("flavour", "setting", "menu_line", "palate"):
        recipe["tasks"][name] = {**app[name], "subjects": {"most": 8 if name == "flavour" else 6, "order": "popular"}}
    for key in ("items", "events"):
        recipe["data"][key]["path"] = str(PACK / recipe["data"][key]["path"])
    write(root / "tokenrec.yaml", "allow_outside: true\n")
    write(root / "recipe.yaml", yaml.safe_dump(recipe, allow_unicode=True, sort_keys=False))
    return root / "recipe.yaml"


def test_every_kind_of_task_on_real_recipes(tmp_path):
    recipe = demo(tmp_path)
    code, document, said = tokenrec("compile", recipe)
    assert code == 0, said
    holds(document)
    adds_up(document, tmp_path)
    asked = {t["task"]: t["generated"] for t in document["tasks"]}
    assert asked == {"flavour": 8, "setting": 6, "digest": 6, "menu_line": 6, "plate": 6, "palate": 6}
    accepted = {t["task"]: t["accepted"] for t in document["tasks"]}
    assert accepted["flavour"] == 8 and min(accepted.values()) >= 1 and sum(accepted.values()) >= 28

    db = store(tmp_path)
    records = {}
    for line in (PACK / "recipes.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        records[str(record["id"])] = record
    told = {t: {r["subject"]: json.loads(r["output"]) for r in db.execute(
        "select subject, output from tokens where task = ?", [t])} for t in asked}  # fmt: skip
    assert {t: len(rows) for t, rows in told.items()} == accepted
    assert all(set(o) == {"taste", "texture"} and o["taste"] for o in told["flavour"].values())
    assert all(isinstance(o["occasion"], str) for o in told["setting"].values())
    assert all(1 <= o["plates"] <= 50 for o in told["plate"].values())
    for subject, out in told["digest"].items():
        plain = " ".join(records[subject]["description"].split())
        assert len(out["digest"]) < len(plain)
        assert all(s in plain for s in re.split(r"(?<=[.!?])\s+", out["digest"]))
    for subject, out in told["menu_line"].items():
        words = {w for i in records[subject]["ingredients"] for w in re.findall(r"\w+", i.lower())}
        words |= set(re.findall(r"\w+", records[subject]["name"].lower()))
        assert set(re.findall(r"\w+", out["line"].lower())) <= words | {"with", "and", "topped", "served", "in", "of"}
    chained = [json.loads(i) for (i,) in db.execute("select inputs from completions where task = 'plate'")]
    assert chained and all(i["taste"] == told["flavour"][s]["taste"] for i in chained if (s := _id(records, i)))
    shown = [json.loads(i) for (i,) in db.execute("select inputs from completions where task = 'palate'")]
    assert any("(" in line for i in shown for line in i["liked"])
    late = db.execute("select max(newest_event_time) from subjects where kind = 'user'").fetchone()[0]
    assert late < db.execute("select min(at) from windows where window = 'fit'").fetchone()[0]
    assert sound(db)

    assert all("tune-A lists are too few" in s["note"] and not s["scores"] for s in document["searches"])
    assert {s["task"] for s in document["searches"]} == {"flavour", "setting"} and not document["promotions"]
    assert len(document["leaderboard"]) == 6 and {r["verdict"] for r in document["leaderboard"]} == {"too_little_data"}
    assert document["smallest_detectable_lift"] > 0.01 and document["lists"]["n_test"] < 400
    assert "smallest lift this data could show" in said


def _id(records: dict, inputs: dict) -> str | None:
    return next((i for i, r in records.items() if r["name"] == inputs["name"]), None)

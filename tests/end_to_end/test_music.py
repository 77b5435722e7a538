"""A second domain without Python: recipes/music.yaml and CSV files, on a cut of the last.fm pack."""

import csv
import gzip
import json
from collections import Counter

import pytest
import yaml

from tests.end_to_end.test_main_job import adds_up, holds
from tests.end_to_end.worlds import ROOT, sound, store, tokenrec, write

PACK = ROOT.parent / "shared/data/colakg_lastfm"
USERS, ARTISTS = 200, 250
pytestmark = pytest.mark.skipif(not PACK.is_dir(), reason="../shared/data/colakg_lastfm is not here")


def music(root, two_files: bool = False) -> None:
    """The recipe as shipped with small numbers, and the CSV files that its comments ask for: three, or two."""
    recipe = yaml.safe_load((ROOT / "recipes/music.yaml").read_text(encoding="utf-8"))
    recipe["data"]["most_users"] = USERS
    recipe["tasks"]["sound"]["subjects"]["most"] = 20
    recipe["tasks"]["listener"]["subjects"]["most"] = 6
    recipe["ranker"] |= {"seeds": 1, "negatives": 10}
    if two_files:
        del recipe["data"]["events"]["test"]
        recipe["data"]["split"] = {"by": "user"}
    write(root / "tokenrec.yaml", "")
    write(root / "recipes/music.yaml", yaml.safe_dump(recipe, allow_unicode=True, sort_keys=False))
    plays = {}
    for name in ("train", "test"):
        with gzip.open(PACK / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
            plays[name] = list(csv.reader(file))
    heard = Counter(row[1] for row in plays["train"][1:]).most_common(ARTISTS)
    kept = {artist for artist, _ in heard}
    folder = root / "recipes/music"
    folder.mkdir()
    if two_files:
        plays = {"train": plays["train"] + plays["test"][1:]}
    for name, (head, *rows) in plays.items():
        table(folder / f"{name}.csv", [head, *[row for row in rows if row[1] in kept]])
    with gzip.open(PACK / "llm_items.jsonl.gz", "rt", encoding="utf-8") as file:
        artists = [json.loads(line) for line in file]
    artists = [a for a in artists if str(a["item"]) in kept]
    rows = [[a["item"], a["name"], json.dumps(a["tags"], ensure_ascii=False)] for a in artists]
    assert len(rows) == ARTISTS
    table(folder / "items.csv", [["item", "name", "tags"], *rows])


def table(path, rows: list[list]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def test_music_compiles_and_is_evaluated(tmp_path):
    music(tmp_path)
    recipe = tmp_path / "recipes/music.yaml"
    code, document, said = tokenrec("compile", recipe)
    assert code == 0, said
    assert any("not by time (split: {by: given})" in note for note in document["notes"])
    holds(document)
    adds_up(document, tmp_path)
    by_task = {t["task"]: t for t in document["tasks"]}
    assert by_task["sound"]["generated"] == 20 and by_task["listener"]["generated"] == 6
    assert by_task["sound"]["accepted"] >= 16 and document["cost_usd"] == 0
    assert "tune-A lists are too few" in document["searches"][0]["note"] and not document["promotions"]
    assert {r["task"] for r in document["leaderboard"]} == {"sound", "listener"}
    assert 0.01 < document["smallest_detectable_lift"] < 0.5
    db = store(tmp_path)
    recipe_tasks = yaml.safe_load(recipe.read_text(encoding="utf-8"))["tasks"]["sound"]["outputs"]
    outputs = [json.loads(o) for (o,) in db.execute("select output from tokens where task = 'sound'")]
    assert all(o["genre"] in recipe_tasks["genre"]["choices"] for o in outputs)
    assert all(set(o["mood"]) <= set(recipe_tasks["mood"]["choices"]) for o in outputs)
    shown = [json.loads(i) for (i,) in db.execute("select distinct inputs from completions where task = 'sound'")]
    assert all(set(i) == {"tags"} and isinstance(i["tags"], list) for i in shown)
    assert sound(db)

    code, again, said = tokenrec("compile", recipe)
    assert code == 0 and again["lm_calls"] == 0, said
    assert again["arms"] == document["arms"] and again["leaderboard"] == document["leaderboard"]
    code, rates, said = tokenrec("eval", recipe)
    holds(rates)
    assert code == 5, said
    assert [t["task"] for t in rates["tasks"]] == ["sound", "listener"]


def test_two_files_without_times_will_do(tmp_path):
    music(tmp_path, two_files=True)
    code, document, said = tokenrec("compile", tmp_path / "recipes/music.yaml")
    assert code == 0, said
    holds(document)
    assert {r["task"] for r in document["leaderboard"]} == {"sound", "listener"}
    assert 0.01 < document["smallest_detectable_lift"] < 0.5
    assert any("not by time" in note for note in document["notes"]), document["notes"]
    windows = dict(store(tmp_path).execute("select window, count(*) from windows group by window"))
    assert len(windows) == 5 and min(windows.values()) > 200, windows

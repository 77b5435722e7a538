"""Narrative queries from reviews to tokens: recorded answers, whose they are, history only, requests measured, forgotten."""

import json
import random

import numpy as np
import pytest

from tests.end_to_end.test_main_job import holds
from tests.end_to_end.worlds import RECIPE, contents, dishes, meals, project, store, tokenrec, write
from tokenrec.cli.main import run
from tokenrec.dataset.load import load_dataset
from tokenrec.dataset.types import FIT, HISTORY
from tokenrec.recipe.load import load_recipe
from tokenrec.tasks.inputs import prompts, subject_ids
from tokenrec.tasks.spec import task_spec

DATA = RECIPE[: RECIPE.index("tasks:")].replace("  simulated: true\n", """\
  simulated: true
  reviews: {path: data/reviews.jsonl, user: who, item: dish, text: said, time: at, value: rating}
  queries: {path: data/requests.csv, text: request, relevant: dish, grade: grade}
""")  # fmt: skip
TASKS = """\
tasks:
  craving:
    for: set
    use: mint.NarrativeQuery
    with: {demos: 1}
    sets: {min_reviews: 4, min_liked: 2, items: 4}
    evidence: {}
    outputs: {query: {type: text, max_words: 60, grounding: none, not_in: [liked]}}
    examples: [{liked: ["plum cake: It was gone by noon."], query: "A cake for many people, please?"}]
  asking:
    for: item
    inputs: [name, ingredients]
    use: mint.ItemQuery
    evidence: {reviews: 90, total_words: 2000}
    outputs: {query: {type: text, max_words: 60, grounding: none}}
    subjects: {most: 12, order: popular}
ranker: {seeds: 1, negatives: 10}
compile: {optimizer: none}
"""
WHO = "person-quagga-5"
WORDS = sorted({w for d in dishes(305) for i in d["ingredients"] for w in i.lower().split() if w.isascii() and w.isalpha()})


def say(n: int) -> str:
    """A request unlike the others'."""
    words = random.Random(n).sample(WORDS, 9)
    return f"{' '.join(words[:5]).capitalize()}, and {words[5]}: is there {' '.join(words[6:])} with number {n}?"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("narrative")
    items = dishes()
    events = [(WHO if u == "u005" else u, *rest) for u, *rest in meals(items)]
    path = project(root, items=items, events=events, recorded=[], recipe=DATA + TASKS)
    names = {i["dish_id"]: i["name"] for i in items}
    said = [{"who": u, "dish": d, "at": t, "rating": v, "said": f"{u} says that the {names[d]} tasted of {WORDS[t % len(WORDS)]}. Yum!"}
            for u, d, t, v in events]  # fmt: skip
    write(root / "data/reviews.jsonl", "".join(json.dumps(r) + "\n" for r in said))
    asked = "".join(f'"{i["name"]}, please",{i["dish_id"]},2\n"{i["name"]}, please",{items[0]["dish_id"]},1\n' for i in items[1:9])
    write(root / "data/requests.csv", "request,dish,grade\n" + asked)
    loaded = load_recipe(path)
    data, tape = load_dataset(loaded.recipe, loaded.folder), []
    for name in ("craving", "asking"):
        for n, p in enumerate(prompts(loaded.recipe, data, task_spec(loaded.recipe, name), {})):
            tape.append({"task": name, "subject": p.subject, "output": {"query": say(n + 40 * (name == "asking"))}})
    write(root / "tape.jsonl", "".join(json.dumps(r) + "\n" for r in tape))
    code, document, said = tokenrec("compile", path)
    assert code == 0, said
    return root, path, document, data


def test_requests_are_written_and_stored_with_whose_they_are(world):
    root, _, document, data = world
    tasks = {t["task"]: t for t in document["tasks"]}
    assert tasks["craving"]["accepted"] > 30 and tasks["asking"]["accepted"] == 12
    db = store(root)
    rows = db.execute("select subject, kind, newest_event_time from tokens where task = 'craving'").fetchall()
    assert {r["kind"] for r in rows} == {"set"} and len(rows) == tasks["craving"]["accepted"]
    sources = {r["subject"]: r for r in db.execute("select * from sources where task = 'craving'")}
    assert {r["subject"] for r in rows} <= set(sources)
    liked = {}
    for u, i, v, known in zip(data.reviews.user, data.reviews.item, data.reviews.value, data.reviews.history):
        if known:
            liked.setdefault(data.user_ids[u], {})[data.item_ids[i]] = float(v)
    for r in sources.values():
        own = liked[r["user"]]
        assert all(own[i] >= np.mean(list(own.values())) - 1e-6 for i in json.loads(r["items"]))


def test_all_that_prompts_hold_lies_before_fit(world):
    root, _, _, data = world
    newest = store(root).execute("select max(newest_event_time) from subjects where task in ('craving', 'asking')").fetchone()[0]
    events = data.events
    assert newest <= events.time[events.window == HISTORY].max() < events.time[events.window == FIT].min()


def test_a_set_feeds_no_ranker_and_an_items_request_does(world):
    arms = {a["arm"] for a in world[2]["arms"]}
    assert "raw_text+asking" in arms and "raw_text+craving" not in arms
    assert any("craving: nothing of it reaches the ranker" in n for n in world[2]["notes"])


def test_an_unchanged_second_run_asks_nothing(world):
    root, path, *_ = world
    before = contents(root)["completions"]
    code, document, said = tokenrec("compile", path)
    assert code == 0 and all(t["asked"] == 0 for t in document["tasks"]), said
    assert contents(root)["completions"] == before


def test_plan_export_and_show_know_sets(world, tmp_path):
    root, path, *_ = world
    code, document, said = tokenrec("plan", path)
    assert code == 0 and document["nothing_to_do"], said
    code, document, said = tokenrec("export", path, "--completions", tmp_path / "c.jsonl", "--tokens", tmp_path / "t.jsonl")
    assert code == 0, said
    kinds = [json.loads(row)["kind"] for row in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert kinds.count("item") == 12 and kinds.count("set") > 30
    key = store(root).execute("select completion_id from tokens where task = 'craving' limit 1").fetchone()[0]
    code, document, said = tokenrec("show", key, "--store", root / ".tokenrec/store.db")
    assert code == 0, said


def test_a_file_of_requests_is_gated_by_the_sets_own_ids(world, tmp_path):
    root, path, _, data = world
    spec = task_spec(load_recipe(path).recipe, "craving")
    subject = subject_ids(load_recipe(path).recipe, data, spec)[3]
    lines = [{"task": "craving", "subject": subject, "output": {"query": say(3)}}]
    write(tmp_path / "theirs.jsonl", json.dumps(lines[0]) + "\n")
    code, document, said = tokenrec("eval", path, "--completions", tmp_path / "theirs.jsonl")
    assert code == 0 and document["tasks"][0]["n"] == 1 and document["queries"] is None, said
    write(tmp_path / "theirs.jsonl", json.dumps(lines[0] | {"subject": "0" * 64}) + "\n")
    code, _, said = tokenrec("eval", path, "--completions", tmp_path / "theirs.jsonl")
    assert code == 2 and "is no set of items" in said


def test_people_read_a_table_of_it(world, capsys):
    assert run(["eval", str(world[1])]) == 0
    out = capsys.readouterr().out
    assert "8 requests of data/requests.csv" in out and "bm25" in out and "ndcg@10, rrf less bm25" in out


def test_eval_ranks_for_the_requests(world):
    code, document, said = tokenrec("eval", world[1])
    assert code == 0, said
    holds(document)
    found = document["queries"]
    assert found["n"] == 8 and found["judged"] == 16 and not found["single_relevant"]
    values = {(r["system"], r["metric"]): r for r in found["systems"]}
    assert values["bm25", "ndcg@10"]["value"] > 0.6 and len(values) == 15  # the names are asked for
    assert values["bm25", "mrr"]["low"] <= values["bm25", "mrr"]["value"]
    assert len(found["paired"]) == 15 and all(0 <= r["p_adjusted"] <= 1 for r in found["paired"])


def test_eval_of_requests_needs_no_text(tmp_path, world):
    root, path, *_ = world
    write(tmp_path / "recipe.yaml", path.read_text())
    for name in ("tokenrec.yaml", "tape.jsonl", "data/dishes.jsonl", "data/events.csv", "data/reviews.jsonl", "data/requests.csv"):
        write(tmp_path / name, (root / name).read_text())
    code, document, said = tokenrec("eval", tmp_path / "recipe.yaml")
    assert code == 0 and document["tasks"] == [] and document["queries"]["n"] == 8, said
    assert "nothing is written yet" in said
    holds(document)


def test_forgetting_takes_the_sets_and_the_words_of_a_user(world):
    """Last of all: it changes the store."""
    root, path, *_ = world
    db = store(root)
    told = [r[0] for r in db.execute("select subject from sources where user = ? and task = 'asking'", [WHO])]
    [own] = [r[0] for r in db.execute("select subject from sources where user = ? and task = 'craving'", [WHO])]
    others = db.execute("select count(*) from tokens where task = 'craving' and subject <> ?", [own]).fetchone()[0]
    db.close()
    assert told
    code, document, said = tokenrec("forget", path, WHO, "--yes")
    assert code == 0, said
    holds(document)
    db = store(root)
    for table in ("subjects", "tokens", "sources"):
        assert db.execute(f"select count(*) from {table} where subject = ?", [own]).fetchone()[0] == 0
        marks = ",".join("?" * len(told))
        assert db.execute(f"select count(*) from {table} where task = 'asking' and subject in ({marks})", told).fetchone()[0] == 0
    assert db.execute("select count(*) from sources where user = ?", [WHO]).fetchone()[0] == 0
    assert db.execute("select count(*) from completions where instr(inputs, ?)", [WHO]).fetchone()[0] == 0
    assert db.execute("select count(*) from tokens where task = 'craving'").fetchone()[0] == others
    assert not any(WHO.encode() in p.read_bytes() for p in (root / ".tokenrec").iterdir() if p.is_file())

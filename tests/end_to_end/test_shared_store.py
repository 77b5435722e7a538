"""Several recipes in one store, and tasks whose texts no item can be compared with."""

import json
import random

from tests.end_to_end.worlds import RECIPE, answers, contents, dishes, project, store, tokenrec, write

ONE_TASK = RECIPE[: RECIPE.index("  menu_line:")] + RECIPE[RECIPE.index("ranker:") :]


def test_a_copied_recipe_leaves_the_firsts_texts_and_verdicts_alone(tmp_path):
    first = project(tmp_path, recipe=ONE_TASK)
    assert tokenrec("compile", first)[0] == 0
    before = {t: contents(tmp_path)[t] for t in ("tokens", "completions", "verdicts")}
    fewer = "".join(json.dumps(d, ensure_ascii=False) + "\n" for d in dishes()[:15])
    write(tmp_path / "data/fewer.jsonl", fewer)
    kept = {d["dish_id"] for d in dishes()[:15]}
    rows = (tmp_path / "data/events.csv").read_text(encoding="utf-8").splitlines()
    write(tmp_path / "data/some.csv", "\n".join([rows[0], *[r for r in rows if r.split(",")[1] in kept]]) + "\n")
    copied = ONE_TASK.replace("name: small", "name: other").replace("dishes.jsonl", "fewer.jsonl")
    write(tmp_path / "other.yaml", copied.replace("events.csv", "some.csv").replace("WRITER", "tape"))
    code, _, said = tokenrec("compile", tmp_path / "other.yaml")
    assert code == 0, said
    assert tokenrec("eval", tmp_path / "other.yaml")[0] in (0, 5)
    after = contents(tmp_path)
    for table, was in before.items():
        assert set(was) <= set(after[table]), table
    assert store(tmp_path).execute("select count(*) from tokens where recipe = 'other'").fetchone()[0] > 0


def test_a_users_text_meets_the_items_texts_and_a_users_number_gets_no_verdict(tmp_path):
    recipe = ONE_TASK.replace("ranker:", """\
  wish:
    for: user
    history: {most: 6, min: 2}
    write: What would they like next?
    outputs: {words: {type: text, max_words: 25, grounding: none}}
  age:
    for: user
    history: {most: 6, min: 2}
    write: How old?
    outputs: {years: {type: number, min: 1, max: 99}}
ranker:""")  # fmt: skip
    items = dishes()
    draw = random.Random(3)
    words = [", ".join(d["name"] for d in draw.sample(items, 4)) for _ in range(80)]
    recorded = answers(items) + [
        {"task": "wish", "subject": f"u{n:03}", "output": {"words": words[n]}} for n in range(80)
    ] + [{"task": "age", "subject": f"u{n:03}", "output": {"years": 20 + n}} for n in range(80)]  # fmt: skip
    code, document, said = tokenrec("compile", project(tmp_path, recipe=recipe, recorded=recorded))
    assert code == 0, said
    tasks = {t["task"]: t for t in document["tasks"]}
    assert tasks["wish"]["accepted"] > 20, tasks["wish"]
    assert tasks["age"]["accepted"] > 20
    board = {r["task"]: r for r in document["leaderboard"]}
    assert set(board) == {"flavour", "wish"} and board["wish"]["lift"] != 0
    assert any(note.startswith("age: nothing of it reaches the ranker") for note in document["notes"])
    arms = {a["arm"] for a in document["arms"]}
    assert "raw_text+wish" in arms and not any("age" in arm for arm in arms)


def test_a_task_may_not_take_an_arms_name(tmp_path):
    for name in ("extractive", "oracle", "placebo", "incumbent"):
        code, document, _ = tokenrec("compile", project(tmp_path, recipe=ONE_TASK.replace("  flavour:", f"  {name}:")))
        assert code == 2 and "arm" in document["message"], document

"""Tags in words of the model's own (`words_each:`): from YAML through the gates to the ranker."""

import json

import pytest

from tests.end_to_end.test_optimizers import valid
from tests.end_to_end.worlds import RECIPE, lend_vectors, project, store, tokenrec, write

WORDS = ["chilli", "pastry", "broth", "smoke", "citrus", "herbs", "cheese", "noodles", "pickles", "honey", "sesame", "mustard"]
OWN = RECIPE[: RECIPE.index("tasks:")] + """tasks:
  profile:
    for: user
    use: genre.UserProfiler
    history: {most: 6, min: 2}
    outputs: {interests: {type: tags, words_each: 1, max: 5}}
    examples:
      - {liked: [Pavlova, Egg Tarts], interests: [sweets, pastry]}
ranker: {seeds: 1, negatives: 10}
compile: {optimizer: none}
"""
BAD = {  # reader: tags, the gate that refuses them, what it quotes
    "u001": (["broth", "coming of age"], "schema", "coming of age"),
    "u002": (["broth", "Broth"], "noise/vocabulary", "Broth"),
    "u005": (WORDS[:6], "noise/vocabulary", "herbs"),
    "u004": (["novel"], "noise/tells_nothing", "novel"),
}  # fmt: skip


@pytest.fixture(scope="module")
def readers(tmp_path_factory, finished):
    root = tmp_path_factory.mktemp("own")
    said = {f"u{u:03}": [WORDS[u % 12], WORDS[(u * u + 1) % 12]][: 1 + (u % 12 != (u * u + 1) % 12)] for u in range(80)}
    said |= {user: tags for user, (tags, *_) in BAD.items()}
    rows = [{"task": "profile", "subject": user, "output": {"interests": tags}} for user, tags in said.items()]
    recipe = project(root, recipe=OWN, recorded=rows)
    lend_vectors(finished.root, root)
    code, document, told = tokenrec("compile", recipe)
    assert code == 0, told
    return root, recipe, valid(document), said


def test_what_breaks_the_rule_is_refused_and_quoted(readers):
    root, recipe, document, said = readers
    task = next(t for t in document["tasks"] if t["task"] == "profile")
    assert (task["rejected"], task["malformed"]) == (3, 1) and task["accepted"] > 60
    rows = store(root).execute("select subject, gate, quote from subjects s join completions c using (program_id, input_hash)"
                               " join verdicts v using (completion_id) where not passed").fetchall()  # fmt: skip
    assert {r["subject"]: (r["gate"], r["quote"]) for r in rows} == {u: (gate, quote) for u, (_, gate, quote) in BAD.items()}


def test_they_reach_the_ranker_as_a_text(readers, tmp_path):
    root, recipe, document, said = readers
    values = {a["arm"]: a["value"] for a in document["arms"] if (a["metric"], a["slice"]) == ("ndcg@10", "all")}
    assert values["raw_text+profile"] != values["raw_text"] and "profile" in {r["task"] for r in document["leaderboard"]}
    code, made, _ = tokenrec("export", recipe, "--features", tmp_path / "v", "--tokens", tmp_path / "t.jsonl")
    vectors = valid(made)["features"]["outputs"][0]
    tokens = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert (vectors["n"], vectors["d"]) == (len(tokens), 384)  # the encoder's
    same = [r["interests"] == said[r["subject"]] for r in tokens]  # but for diners of equal histories, who share an answer
    assert not {r["subject"] for r in tokens} & BAD.keys() and len(tokens) > 60 and sum(same) >= len(tokens) - 2


def test_people_may_put_in_words_of_their_own_by_the_same_rule(readers):
    root, recipe, _, said = readers
    text = recipe.read_text()
    write(root / "mine.jsonl", '{"subject": "u001", "output": {"interests": ["soup"]}}\n')
    write(recipe, text.replace("    use: genre.UserProfiler\n", "    use: genre.UserProfiler\n    overrides: mine.jsonl\n"))
    try:
        code, shown, _ = tokenrec("show", "user", "u001", "--recipe", recipe)
        assert code == 0 and shown["tasks"][0]["output"] == {"interests": ["soup"]}
        write(root / "mine.jsonl", '{"subject": "u001", "output": {"interests": ["soup of the day"]}}\n')
        code, fault, _ = tokenrec("show", "user", "u001", "--recipe", recipe)
        assert code == 2 and "mine.jsonl:1" in fault["message"] and "4 words in one tag" in fault["message"]
    finally:
        write(recipe, text)

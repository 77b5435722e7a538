"""`data.impressions:` through the public door, and what a changed log or reward does to compiled programs."""

import json

import pytest

from tests.end_to_end.server import serving
from tests.end_to_end.test_optimizers import valid
from tests.end_to_end.worlds import RECIPE, dishes, lend_vectors, meals, project, tokenrec, write
from tokenrec.cli.main import run

LOG = "  impressions: {path: data/shown.csv, user: user_id, item: dish_id, position: place, time: at}\n"
MINE = """\
def rank(fit, lists, seed):
    assert fit.weight is not None and len(fit.weight) == len(fit.label) and lists.weight is None
    assert fit.weight[fit.label == 1].std() > 0 and (fit.weight[fit.label == 0] == 1).all()
    return lists.features[:, 0]
"""


def page(root, events):
    """Each meal was picked from a page of four, the picked dish at place 1 to 4 in turn."""
    ids = [d["dish_id"] for d in dishes()]
    rows = ["user_id,dish_id,place,at"]
    for n, (user, dish, day, _) in enumerate(events):
        others = [ids[(n * 7 + k) % len(ids)] for k in range(4)]
        others[n % 4] = dish
        rows += [f"{user},{d},{k},{day}" for k, d in enumerate(others, 1)]
    write(root / "data/shown.csv", "\n".join(rows) + "\n")


def made(root, **more):
    events = meals(dishes())
    recipe = project(root, events=events, **more)
    page(root, events)
    return recipe


def test_a_log_weighs_likes_and_is_reported(finished, tmp_path, capsys):
    recipe = made(tmp_path, recipe=RECIPE.replace("  simulated", LOG + "  simulated"))
    lend_vectors(finished.root, tmp_path)
    code, document, said = tokenrec("compile", recipe)
    assert code == 0, said
    shown = valid(document)["impressions"]
    assert shown["rows"] == 4 * 800 and shown["likes_shown"] == 1 and shown["looked_at"][0] == 1
    plain = {a["arm"]: a["value"] for a in document["arms"] if (a["metric"], a["slice"]) == ("ndcg@10", "all")}
    by = {a["arm"]: a for a in shown["arms"]}
    assert list(by) == list(plain) and by["raw_text"]["lift"] is None
    assert all(by[a]["low"] <= by[a]["value"] <= by[a]["high"] and by[a]["value"] != plain[a] for a in by)
    row = by["raw_text+flavour"]
    assert row["lift"] == pytest.approx(row["value"] - by["raw_text"]["value"]) and row["lift_low"] <= row["lift_high"]
    assert plain["raw_text"] != next(  # the ranker has learnt from other rows
        a["value"] for a in finished.first["arms"] if (a["arm"], a["metric"], a["slice"]) == ("raw_text", "ndcg@10", "all"))
    assert finished.first["impressions"] is None and finished.first["reward"] is None
    assert run(["compile", str(recipe)]) == 0
    printed = capsys.readouterr().out
    assert "The same with likes weighed by position, ndcg@10, slice all" in printed and "over raw_text" in printed


@pytest.fixture(scope="module")
def compiled(tmp_path_factory, finished):
    """A served project with a log and a ranker of its own, compiled; (root, recipe)."""
    root = tmp_path_factory.mktemp("stale")
    lend_vectors(finished.root, root)
    with pytest.MonkeyPatch.context() as patch, serving() as served:
        patch.setenv("OPENAI_API_KEY", "none")
        text = RECIPE.replace("  simulated", LOG + "  simulated") + "reward: ./mine.py:rank\nobjective: {metric: ndcg@10}\n"
        models = f"{{kind: api, model: openai/small, api_base: '{served.url}', price: {{input: 2, output: 8}}}}"
        recipe = made(root, recipe=text, writer="served", models=models, recorded=[])
        write(root / "mine.py", MINE)
        code, _, said = tokenrec("compile", recipe)
        assert code == 0, said
        yield root, recipe


CHANGES = {
    "compiled for another reward": ("mine.py", lambda text: text + "\n# another thought\n"),
    "compiled on other data": ("data/shown.csv", lambda text: text.replace(",2,", ",5,", 1)),
    "compiled for another version of the recipe": ("recipe.yaml", lambda text: text.replace("place,", "place, most: 4,")),
    "compiled for another objective": ("recipe.yaml", lambda text: text.replace("ndcg@10}", "ndcg@5}")),
}


@pytest.mark.parametrize("why", CHANGES)
def test_a_changed_reward_or_log_makes_programs_stale(compiled, why, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    root, recipe = compiled
    assert tokenrec("compile", recipe, "--check")[0] == 0
    file, change = CHANGES[why]
    kept = (root / file).read_text()
    assert change(kept) != kept
    try:
        write(root / file, change(kept))
        code, document, _ = tokenrec("compile", recipe, "--check")
    finally:
        write(root / file, kept)
    assert code == 1 and all(why in p["stale_because"] for p in valid(document)["programs"]), document


def test_without_the_reward_they_are_stale_too_and_diff_still_reads_them(compiled, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    root, recipe = compiled
    kept = recipe.read_text()
    try:
        write(recipe, kept.replace("reward: ./mine.py:rank\n", ""))
        code, document, _ = tokenrec("compile", recipe, "--check")
        assert code == 1 and all("compiled for another reward" in p["stale_because"] for p in document["programs"])
        code, document, _ = tokenrec("diff", recipe)
        assert code == 0 and {t["status"] for t in valid(document)["tasks"]} == {"no_challenger"}
    finally:
        write(recipe, kept)
    [path] = (root / "programs/compiled/small").glob("flavour@*.json")
    lock = json.loads(path.read_text())
    assert set(lock["compiled_for"]) == {"data_hash", "objective", "recipe_hash", "reward"} and len(path.read_text()) < 3000

"""`reward:` and `data.impressions:` through the public door: the user's ranker in place of ours, everywhere."""

import shutil

import pytest

from tests.compiler.worlds import QUIET, Taster, session, written
from tests.compiler.worlds import RECIPE as SEARCHED
from tests.end_to_end.test_optimizers import valid
from tests.end_to_end.worlds import RECIPE, ROOT, lend_vectors, project, store, tokenrec, write
from tokenrec.compiler.improve import improve

POPULAR = """\
import numpy as np

def rank(fit, lists, seed):
    assert lists.label is None and lists.missed is None and lists.weight is None
    print("this is the user's own line")
    open({log!r}, "a").write(",".join(dict.fromkeys(lists.sources)) + "\\n")
    score = lists.features[:, lists.names.index("popularity")]
    if "flavour.taste.profile" in lists.names:
        score = score + np.nan_to_num(lists.features[:, lists.names.index("flavour.taste.profile")])
    return score

def hits(fit, lists, seed):
    score = np.nan_to_num(lists.features).sum(axis=1)
    best = np.full(len(lists.users), -np.inf)
    np.maximum.at(best, lists.list_of_row, score)
    return np.bincount(lists.list_of_row, lists.label * (score == best[lists.list_of_row])) * 10.0 - 3

"""


def own(root, finished, reward, objective="", name="mine.py", log="calls.txt"):
    """The finished project with a ranker of its own; encoder vectors are lent, the recording is the same."""
    extra = f"reward: ./{name}:{reward}\n" + (f"objective: {{{objective}}}\n" if objective else "")
    recipe = project(root, recipe=RECIPE + extra)
    if not (root / name).exists():
        write(root / name, POPULAR.format(log=str(root / log)))
    lend_vectors(finished.root, root)
    return recipe


def arms(document, metric, slice="all"):
    return {a["arm"]: a for a in document["arms"] if (a["metric"], a["slice"]) == (metric, slice)}


def test_scores_of_candidates_are_measured_as_ours_are(finished, tmp_path):
    recipe = own(tmp_path, finished, "rank", "metric: ndcg@5")
    code, document, said = tokenrec("compile", recipe)
    assert code == 0, said
    valid(document)
    assert document["reward"]["function"] == "./mine.py:rank" and document["reward"]["gives"] == "candidates"
    assert "this is the user's own line" in said  # stderr: stdout is the document's
    made = arms(document, "ndcg@5")
    # the function looks at popularity and one task: whatever else an arm has is worth nothing to it
    assert made["behaviour"]["value"] == made["raw_text"]["value"] == made["extractive"]["value"]
    assert made["raw_text+flavour"]["value"] == made["raw_text+tokens"]["value"] != made["raw_text"]["value"]
    assert made["raw_text+menu_line"]["value"] == made["raw_text+tokens-flavour"]["value"] == made["raw_text"]["value"]
    assert {a["metric"] for a in document["arms"]} == {"ndcg@5", "ndcg@10", "recall@10", "mrr@10"}
    assert tokenrec("plan", recipe)[0] == 0
    calls = (tmp_path / "calls.txt").read_text().splitlines()
    assert "behaviour" in calls and "behaviour,raw_text,flavour,menu_line,palate" in calls
    lists = store(tmp_path).execute("select count(*) from metrics where arm = 'raw_text' and metric = 'ndcg@5'")
    assert lists.fetchone()[0] == document["lists"]["n_test"]


def test_scores_of_lists_are_an_objective_of_their_own(finished, tmp_path, capsys):
    recipe = own(tmp_path, finished, "hits")
    code, document, said = tokenrec("compile", recipe)
    assert code == 0, said
    valid(document)
    assert document["objective"]["metric"] == "reward" and document["reward"]["gives"] == "lists"
    assert {a["metric"] for a in document["arms"]} == {"reward"}  # no other metric can be told
    made, warm = arms(document, "reward"), arms(document, "reward", "warm")
    assert made["raw_text"]["n"] == document["lists"]["n_test"] and warm["raw_text"]["value"] is None
    values = {a["value"] for a in made.values()}
    assert len(values) > 1 and all(-3 <= v <= 7 for v in values)
    rows = store(tmp_path).execute("select value from metrics where arm = 'raw_text' and metric = 'reward'").fetchall()
    assert {r[0] for r in rows} <= {-3.0, 7.0}
    assert made["raw_text"]["value"] == pytest.approx(sum(r[0] for r in rows) / len(rows))
    row = next(r for r in document["leaderboard"] if r["task"] == "flavour")
    assert row["lift"] == pytest.approx(made["raw_text+flavour"]["value"] - made["raw_text"]["value"])
    assert document["contributions"] == [] and document["smallest_detectable_lift_two_way"] is None
    curve = valid(tokenrec("curve", recipe)[1])
    assert curve["objective"]["metric"] == "reward" and curve["tasks"][0]["points"]
    from tokenrec.report.terminal import summary

    assert any("intervals are over users alone" in line for line in summary(document))


@pytest.mark.parametrize("name", ["two_tower.py", "lightgbm_rank.py"])
def test_the_documented_rankers_run(finished, tmp_path, name):
    if name.startswith("lightgbm"):
        pytest.importorskip("lightgbm", reason="the LightGBM example needs lightgbm, which tokenrec does not install")
    shutil.copy(ROOT / "recipes/rankers" / name, tmp_path / name)
    code, document, said = tokenrec("compile", own(tmp_path, finished, "rank", "metric: ndcg@10", name))
    assert code == 0, said
    made = arms(valid(document), "ndcg@10")
    ours = arms(finished.first, "ndcg@10")
    assert made["raw_text"]["value"] > 0 and made["raw_text"]["value"] != ours["raw_text"]["value"]
    assert made["raw_text"]["value"] != made["raw_text+flavour"]["value"]
    again = tokenrec("compile", tmp_path / "recipe.yaml")[1]
    assert arms(again, "ndcg@10") == made  # the same seed, the same scores


FAULTS = [
    ("def other(fit, lists, seed): pass", "has no function rank. It has other"),
    ("def rank(fit, lists, seed)\n    pass", "SyntaxError"),
    ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name' (mine.py:1)"),
    ("\n\ndef rank(fit, lists, seed):\n    return fit.no_such", "AttributeError: 'Rows' object has no attribute 'no_such' (mine.py:4)"),
    ("def rank(fit, lists): return 1", "TypeError"),
    ("def rank(fit, lists, seed): exit(3)", "raised SystemExit: 3 (mine.py:1)"),
    ("def rank(fit, lists, seed): return None", "gave None, no array"),
    ("def rank(fit, lists, seed): return ['a']", "no array of numbers"),
    ("def rank(fit, lists, seed): return [0.0] * 7", "gave an array of shape (7,) where"),
    ("def rank(fit, lists, seed): return [0.0] * len(lists.users)", "write objective: {metric: reward}"),
    ("def rank(fit, lists, seed): return [float('nan')] * len(lists.item_of_row)", "gave nan for"),
    ("def rank(fit, lists, seed):\n    lists.features[:] = 0", "read-only (mine.py:2)"),
    ("def rank(fit, lists, seed): return lists.label + 0.0", "TypeError"),  # the answers are not shown
]


@pytest.mark.parametrize(("code", "words"), FAULTS)
def test_a_faulty_function_is_told_what_is_wrong(finished, tmp_path, code, words):
    write(tmp_path / "mine.py", code)
    exit_code, document, said = tokenrec("compile", own(tmp_path, finished, "rank", "metric: ndcg@10"))
    assert exit_code == 2 and "reward: " in document["message"] and words in document["message"], document


def test_scores_of_candidates_where_lists_are_wanted(finished, tmp_path):
    write(tmp_path / "mine.py", "def rank(fit, lists, seed): return lists.features[:, 0]")
    code, document, _ = tokenrec("compile", own(tmp_path, finished, "rank"))
    assert code == 2 and "write objective: {metric: ndcg@10}" in document["message"]


def test_a_recipe_check_finds_what_can_be_found(finished, tmp_path):
    for reward, objective, words in (
        ("./none.py:rank", "metric: ndcg@10", "none.py is not there"),
        ("mine:rank", "metric: ndcg@10", "names no function"),
        ("../mine.py:rank", "metric: ndcg@10", "leaves the project"),
        ("./mine.py:rank", "slice: cold_items", "can't be. take all or sparse_users"),
        (None, "metric: reward", "name it: reward: ./mine.py:fn"),
        ("./mine.py:rank", "metric: reward", "uplift asks where candidates stand"),
    ):
        extra = (f"reward: {reward}\n" if reward else "") + f"objective: {{{objective}}}\n"
        text = RECIPE.replace("subjects: {most: 10}", 'generate: {budget: "40%"}') if "uplift" in words else RECIPE
        recipe = project(tmp_path, recipe=text + extra)
        write(tmp_path / "mine.py", "def rank(fit, lists, seed): pass")
        code, document, _ = tokenrec("recipe", "check", recipe)
        assert code == 2 and words in document["message"], document


@pytest.mark.parametrize("objective", ["metric: ndcg@10", ""])
def test_a_search_and_a_promotion_go_by_the_users_function(tmp_path, objective):
    """The function likes low similarity: the prompt that knows the truth loses by it, and wins by its contrary."""
    outcomes = {}
    for sign in ("+", "-"):
        root = tmp_path / sign
        code = (
            "import numpy as np\n\ndef rank(fit, lists, seed):\n"
            "    ours = [i for i, s in enumerate(lists.sources) if s in ('program', 'incumbent', 'challenger')]\n"
            f"    return {sign}np.nan_to_num(lists.features[:, ours]).sum(axis=1)\n\n"
            "def mine(fit, lists, seed):\n"
            "    score = rank(fit, lists, seed)\n"
            "    mean = np.bincount(lists.list_of_row, score) / np.bincount(lists.list_of_row)\n"
            "    return np.bincount(lists.list_of_row, lists.label * (score > mean[lists.list_of_row]))\n"
        )
        write(root / "mine.py", code)
        extra = f"reward: ./mine.py:{'rank' if objective else 'mine'}\n" + (f"objective: {{{objective}}}\n" if objective else "")
        made = session(root, users=250, n_dishes=120, each=4, taster=Taster(luck=0), recipe=SEARCHED + extra)
        assert made.settings.listwise != bool(objective)
        tasks = written(made)
        from tests.compiler.test_promotion import propose
        from tokenrec.compiler import improve as module

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "search", propose(tasks["flavour"], "Guess well."))
            outcomes[sign] = improve(made, tasks, "flavour", QUIET, force=True)
    assert outcomes["+"].lite_challenger > outcomes["+"].lite_incumbent
    assert outcomes["+"].promotion.promoted and outcomes["+"].promotion.delta > 0
    assert outcomes["-"].lite_challenger < outcomes["-"].lite_incumbent and outcomes["-"].promotion is None

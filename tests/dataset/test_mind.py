"""`data: {format: mind}`: MIND's files as people have them, what is refused, and that impressions are the lists."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import ndcg_score, roc_auc_score

from tokenrec.dataset.lists import make_lists
from tokenrec.dataset.load import load_dataset
from tokenrec.dataset.types import FIT, HISTORY, TEST, TUNE_A, TUNE_B
from tokenrec.errors import InputError
from tokenrec.evidence.arms import ArmScores
from tokenrec.evidence.by_impression import auc, by_impression
from tokenrec.evidence.statistics import compare, user_draws
from tokenrec.ranking.metrics import relevant_ranks
from tokenrec.recipe.load import load_recipe

SAMPLE = Path(__file__).parents[2] / "recipes/news"
RECIPE = "name: paper\ndata: {format: mind, path: news%s}\n"


def load(root, more="", **changed):
    (root / "recipe.yaml").write_text(RECIPE % more)
    loaded = load_recipe(root / "recipe.yaml")
    return load_dataset(loaded.recipe, loaded.folder, **changed)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "news").mkdir()
    for name in ("news.tsv", "behaviors.tsv"):
        shutil.copy(SAMPLE / name, tmp_path / "news" / name)
    (tmp_path / "tokenrec.yaml").write_text("")
    return tmp_path


def rows(root, name="behaviors"):
    return [line.split("\t") for line in (root / f"news/{name}.tsv").read_text().splitlines()]


def rewrite(root, table, name="behaviors"):
    (root / f"news/{name}.tsv").write_text("".join("\t".join(row) + "\n" for row in table))


def test_impressions_are_the_lists_and_the_history_column_is_history(root):
    data = load(root)
    assert len(data.item_ids) == 40 and data.items[0]["abstract"] and data.items[0]["category"] == "sports"
    assert len(data.slates) == 620 and data.timed
    first = {}
    for _, user, _, history, _ in rows(root):
        first.setdefault(user, history.split())
    past = data.events.window == HISTORY
    told = {u: [] for u in data.user_ids}
    for user, item in zip(data.events.user[past], data.events.item[past], strict=True):
        told[data.user_ids[user]].append(data.item_ids[item])
    assert told == first  # oldest first, in the order of the column
    counts = [(data.slates.window == w).sum() for w in (FIT, TUNE_A, TUNE_B, TEST)]
    assert counts[0] == pytest.approx(620 * 0.4, abs=1) and sum(counts) == 620 and min(counts) > 50
    lists = make_lists(data, TEST)
    last = rows(root)[-len(lists) :]
    assert len(np.unique(lists.user)) < len(lists)  # a reader comes again
    for at, row in enumerate(last):
        a, b = lists.indptr[at : at + 2]
        shown = dict(cell.split("-") for cell in row[4].split())
        assert {data.item_ids[i]: str(label) for i, label in zip(lists.item_of_row[a:b], lists.label[a:b], strict=True)} == shown
        assert data.user_ids[lists.user[at]] == row[1]
    assert not lists.before[data.events.window == TEST].any()


def test_a_later_history_column_adds_nothing(root):
    """Or clicks of the fit window would come back as history."""
    table = rows(root)
    later = next(i for i in range(300, 620) if table[i][1] in {r[1] for r in table[:300]})
    before = load(root).events
    table[later][3] += " N40 N40 N40"
    rewrite(root, table)
    after = load(root).events
    assert (before.item == after.item).all() and (before.window == after.window).all()


def test_a_test_folder_is_test(root):
    table = rows(root)
    (root / "dev").mkdir()
    shutil.copy(root / "news/news.tsv", root / "dev/news.tsv")
    (root / "dev/behaviors.tsv").write_text("".join("\t".join(r) + "\n" for r in table[500:]))
    rewrite(root, table[:500])
    data = load(root, ", test: dev")
    assert (data.slates.window == TEST).sum() == 120 and data.split == "given"
    assert (data.slates.window[500:] == TEST).all() and not (data.slates.window[:500] == TEST).any()


def test_the_same_data_have_the_same_hash_and_others_another(root):
    one = load(root)
    assert load(root).data_hash == one.data_hash
    table = rows(root)
    table[7][4] = table[7][4].replace("-0", "-1", 1)
    rewrite(root, table)
    assert load(root).data_hash != one.data_hash
    some = load(root, most_users=40)
    assert len(some.user_ids) == 40 and set(some.user_ids) <= set(one.user_ids) and len(some.slates) < 620


def test_faults_name_file_and_line(root):
    table = rows(root)
    table[2][4] = "N1 N2-0"
    table[3][2] = "yesterday"
    table[4] = table[4][:3]
    table[5][4] += " N99-0"
    rewrite(root, table)
    notes = " ".join(load(root).notes)
    assert "news/behaviors.tsv:3" in notes and "N55528-1" in notes
    assert "news/behaviors.tsv:4" in notes and "11/15/2019" in notes
    assert "3 cells where there should be 5 (first: news/behaviors.tsv:5)" in notes
    assert "news.tsv lacks" in notes and "news/behaviors.tsv:6" in notes
    for row in table[:100]:
        row[-1] = "nothing"
    rewrite(root, table)
    with pytest.raises(InputError, match=r"behaviors.tsv: 10\d of 620 rows can't be used"):
        load(root)


def test_news_twice_with_another_title_stop_the_run(root):
    news = rows(root, "news")
    rewrite(root, [*news, [*news[0][:3], "Another title", *news[0][4:]]], "news")
    with pytest.raises(InputError, match=r"news/news.tsv:41: news 'N1' was already used at news/news.tsv:1 with another title"):
        load(root)


def test_a_quote_in_a_title_is_a_letter(root):
    news = rows(root, "news")
    news[0][3] = '"Late again'
    rewrite(root, news, "news")
    data = load(root)
    assert data.items[data.item_ids.index("N1")]["title"] == '"Late again'


@pytest.mark.parametrize(("more", "said"), [
    (", items: {text: [headline]}", "no column 'headline'"),
    (", split: {by: user}", "format: mind has times"),
    (", impressions: {path: x.csv, user: u, item: i, position: p}", "has its impressions in behaviors.tsv"),
])  # fmt: skip
def test_what_does_not_go_together_is_said(root, more, said):
    with pytest.raises(InputError, match=said):
        load(root, more)


def test_no_folder_and_a_missing_file(tmp_path):
    (tmp_path / "tokenrec.yaml").write_text("")
    (tmp_path / "recipe.yaml").write_text("name: paper\ndata: {format: mind}\n")
    with pytest.raises(InputError, match="needs path"):
        load_recipe(tmp_path / "recipe.yaml")
    with pytest.raises(InputError, match="news.tsv"):
        load(tmp_path)


def test_metrics_by_impression_are_those_of_the_libraries(root):
    data = load(root)
    lists = make_lists(data, TEST)
    rng = np.random.default_rng(0)
    scores = ArmScores(lists)
    for arm in ("raw_text", "raw_text+new"):
        scores.scores[arm] = np.round(rng.normal(size=len(lists.label)) + lists.label * (arm != "raw_text"), 1)  # ties too
        scores.ranks[arm] = relevant_ranks(scores.scores[arm], lists)
    by = {(r["arm"], r["metric"]): r for r in by_impression(scores)}
    spans = list(zip(lists.indptr[:-1], lists.indptr[1:], strict=True))
    for arm, score in scores.scores.items():
        parts = [(lists.label[a:b], score[a:b]) for a, b in spans]
        assert by[arm, "auc"]["value"] == pytest.approx(np.mean([roc_auc_score(y, s) for y, s in parts]))
        broken = [(y, s - 1e-6 * np.arange(len(s))) for y, s in parts]  # ties by item code, as everywhere
        for k in (5, 10):
            assert by[arm, f"ndcg@{k}"]["value"] == pytest.approx(np.mean([ndcg_score([y], [s], k=k) for y, s in broken]))
        mrr = [(y[np.argsort(-s)] / np.arange(1, len(y) + 1)).sum() / y.sum() for y, s in broken]  # MIND's evaluate.py
        assert by[arm, "mrr"]["value"] == pytest.approx(np.mean(mrr))
    row = by["raw_text+new", "auc"]
    assert 0 < row["low"] < row["lift"] < row["high"] and by["raw_text", "auc"]["lift"] is None
    assert np.isnan(auc(np.zeros(3), np.ones(3)))


def test_a_tasks_arm_is_held_against_the_mean_of_its_placebos(root):
    data = load(root)
    lists = make_lists(data, TEST)
    rng = np.random.default_rng(2)
    scores = ArmScores(lists)
    told = {"raw_text": 0, "raw_text+tokens": 2, "raw_text+tokens-new": 1, "placebo": 0, "raw_text+new": 2,
            "raw_text+new~placebo1": 1, "raw_text+new~placebo2": 1, "raw_text+newer": 1, "raw_text+newer~placebo1": 1}  # fmt: skip
    for arm, knows in told.items():
        scores.scores[arm] = rng.normal(size=len(lists.label)) + knows * lists.label
        scores.ranks[arm] = relevant_ranks(scores.scores[arm], lists)
    scores.scores["raw_text+newer~placebo1"] = scores.scores["raw_text+newer"]
    scores.ranks["raw_text+newer~placebo1"] = scores.ranks["raw_text+newer"]
    rows = {(r["arm"], r["metric"]): r for r in by_impression(scores)}
    assert {arm for arm, _ in rows} == {arm for arm in told if "~" not in arm}
    spans = list(zip(lists.indptr[:-1], lists.indptr[1:], strict=True))
    areas = {arm: np.mean([roc_auc_score(lists.label[a:b], s[a:b]) for a, b in spans]) for arm, s in scores.scores.items()}
    new = rows["raw_text+new", "auc"]
    assert new["lift_over_placebo"] == pytest.approx(areas["raw_text+new"] - (areas["raw_text+new~placebo1"] + areas["raw_text+new~placebo2"]) / 2)
    assert 0 < new["low_over_placebo"] < new["lift_over_placebo"] < new["high_over_placebo"]
    newer = rows["raw_text+newer", "auc"]
    assert newer["lift"] > newer["lift_over_placebo"] == newer["low_over_placebo"] == newer["high_over_placebo"] == 0
    assert rows["raw_text+tokens", "auc"]["lift_over_placebo"] == pytest.approx(areas["raw_text+tokens"] - areas["placebo"])
    for arm in ("raw_text", "placebo", "raw_text+tokens-new"):  # what has no placebo of its own
        assert rows[arm, "ndcg@10"]["lift_over_placebo"] is rows[arm, "ndcg@10"]["low_over_placebo"] is None


def test_impressions_of_one_reader_are_one_cluster(root):
    """Ten copies of every impression know no more than one: the interval stays, it does not shrink by √10."""
    data = load(root)
    lists = make_lists(data, TEST)
    rng = np.random.default_rng(1)
    scores = ArmScores(lists)
    for arm in ("a", "b"):
        scores.scores[arm] = rng.normal(size=len(lists.label)) + lists.label
        scores.ranks[arm] = relevant_ranks(scores.scores[arm], lists)
    one = compare(scores, "a", "b", "ndcg@10", by="user")
    assert one.clusters == len(np.unique(lists.user)) < one.n == len(lists)
    per = scores.per_list("a", "ndcg@10") - scores.per_list("b", "ndcg@10")
    draws = user_draws(np.tile(per, 10), 2000, owner=np.tile(lists.user, 10))
    assert draws.std() == pytest.approx(one.se, rel=0.1)
    assert user_draws(np.tile(per, 10), 2000).std() < one.se / 2

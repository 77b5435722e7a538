"""The ranker of requests: an order learnt from judged requests, never from the request that it ranks."""

import json
import random
import shutil

import jsonschema
import numpy as np
import pytest

from tests.end_to_end.worlds import RECIPE, ROOT, answers, dishes, project, store, tokenrec, write
from tokenrec.dataset.queries import Queries
from tokenrec.errors import InputError
from tokenrec.evidence.queries import judge
from tokenrec.ranking.requests import columns, cross_fit, fit, load_boosters, rank, save_order
from tokenrec.ranking.retrieval import Top, bm25, fuse, nearest, top_of
from tokenrec.serve.menu import _tops

QUERIES = "  simulated: true\n  queries: {path: data/asked.jsonl, text: said, relevant: dish}\n"


def world(n: int = 150, items: int = 60, seed: int = 0, texts=None):
    """(Queries, the ranking of a retriever that is often right, that of one that says nothing)."""
    draw = np.random.default_rng(seed)
    right = draw.integers(items, size=n).astype(np.int32)
    good, bad = draw.random((n, items)), draw.random((n, items))
    good[np.arange(n), right] += 0.5
    at = np.arange(n, dtype=np.int32)
    texts = texts or [f"request {i}" for i in range(n)]
    queries = Queries([str(i) for i in at], texts, at, right, np.ones(n, np.int32))
    return queries, *(top_of([x.astype(np.float32)], items, items) for x in (good, bad))


def ndcg(queries, top) -> float:
    return float(judge(queries, {"it": top}).values["it"]["ndcg@10"].mean())


def test_it_learns_which_retriever_to_trust():
    queries, good, bad = world()
    learnt = ndcg(queries, cross_fit([bad, good], queries))
    assert ndcg(queries, fuse([bad, good])) + 0.1 < learnt
    assert learnt > ndcg(queries, good) - 0.03


def test_what_it_ranks_it_has_not_seen():
    """Labels that nothing explains are not found again: not by a request's own row, nor by its twin's."""
    queries, _, bad = world(200, texts=[f"Request {i // 2}{'?' * (i % 2)}" for i in range(200)])
    twins = Queries(queries.ids, queries.texts, queries.query, np.repeat(queries.item[::2], 2), queries.grade)
    both = Top(np.repeat(bad.item[::2], 2, axis=0), np.repeat(bad.score[::2], 2, axis=0))
    chance = np.mean([(1 / np.log2(np.arange(2, 12))).sum() / 60])
    assert ndcg(twins, cross_fit([both], twins)) < chance + 0.06
    seen = rank(fit([both], twins, np.arange(200)), [both])
    assert ndcg(twins, seen) >= ndcg(twins, cross_fit([both], twins))


def test_grades_count():
    queries, good, bad = world(120)
    two = Queries(queries.ids, queries.texts, np.repeat(queries.query, 2), np.stack(
        [queries.item, (queries.item + 1) % 60], axis=1).ravel().astype(np.int32), np.tile([1, 3], 120).astype(np.int32))
    assert 0 < ndcg(two, cross_fit([bad, good], two)) <= 1


def test_an_item_that_a_retriever_lacks_is_told_from_its_worst():
    one = Top(np.array([[4, 2, -1]], np.int32), np.array([[0.9, 0.3, np.nan]], np.float32))
    other = Top(np.array([[-1, -1, -1]], np.int32), np.full((1, 3), np.nan, np.float32))
    request, item, matrix = columns([one, other])
    assert request.tolist() == [0, 0] and item.tolist() == [2, 4]
    assert matrix[1, :3] == pytest.approx([1, 0, 1 / 61]) and matrix[0, 0] == pytest.approx(1 / 3)
    assert np.isnan(matrix[:, 3:5]).all() and (matrix[:, 5] == 0).all()
    assert columns([other])[2].shape == (0, 3)


def test_nothing_found_is_an_error_and_so_is_a_broken_file(tmp_path):
    queries, good, _ = world(20)
    empty = Top(np.full((20, 3), -1, np.int32), np.full((20, 3), np.nan, np.float32))
    with pytest.raises(InputError, match="nothing to learn"):
        fit([empty], queries, np.arange(20))
    alike = world(20, texts=["?" * (1 + n) for n in range(20)])[0]  # of one fold: none is left to learn from
    with pytest.raises(InputError, match="of the same words"):
        cross_fit([good], alike)
    boosters = fit([good], queries, np.arange(20))
    save_order(tmp_path, {"kind": "request_ranker"}, boosters)
    same = rank(load_boosters(tmp_path), [good])
    assert np.array_equal(same.item, rank(boosters, [good]).item)
    (tmp_path / "1.ubj").write_bytes(b"{")
    with pytest.raises(InputError, match="compile again"):
        load_boosters(tmp_path)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A shop whose people's requests drop facts of other dishes, which mislead a search by words alone."""
    root, items, draw = tmp_path_factory.mktemp("asked"), dishes(60), random.Random(0)
    text = RECIPE.replace("  simulated: true\n", QUERIES)
    recipe = project(root, items=items, recorded=answers(items), recipe=text)
    rows = []
    for n in range(160):
        dish, others = items[n % len(items)], draw.sample(items, 6)
        typed = " ".join(w + w[-1] for w in dish["name"].split())  # letters typed twice: no word of it is known
        said = f"{typed} {' '.join(o['cuisine'] for o in others)} {' '.join(str(o['minutes']) for o in others)} {n}"
        rows.append({"said": said, "dish": dish["dish_id"]})
    write(root / "data/asked.jsonl", "".join(json.dumps(r) + "\n" for r in rows))
    code, document, said = tokenrec("compile", recipe)
    assert code == 0, said
    schema = json.loads((ROOT / "tokenrec/report/schemas/compile.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(document, schema)
    return recipe, document, rows


def test_a_compile_learns_from_people_and_recommend_uses_what_is_proved(shop):
    recipe, document, rows = shop
    found = document["request_ranker"]
    by = {r["system"]: r["value"] for r in found["systems"] if r["metric"] == "ndcg@10"}
    [proof] = [r for r in found["paired"] if r["metric"] == "ndcg@10" and r["against"] == "rrf"]
    assert found["serves"] == (proof["p_adjusted"] < 0.05 and proof["delta"] > 0)
    assert found["requests"] == 160 and found["serves"], by
    code, menu, said = tokenrec("recommend", recipe, "noodles with broth", "-k", "5")
    assert code == 0 and menu["ordered_by"] == "learnt" and len(menu["results"]) == 5, said
    assert not [n for n in menu["notes"] if "order" in n]
    assert tokenrec("recommend", recipe, "under 60 minutes")[1]["ordered_by"] == "fused", "by what is liked alone"
    code, again, _ = tokenrec("compile", recipe)
    assert again["request_ranker"] == found
    file = recipe.parent / "data/asked.jsonl"
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole.replace(rows[0]["said"], "something else"), encoding="utf-8")
    menu = tokenrec("recommend", recipe, "noodles with broth")[1]
    assert menu["ordered_by"] == "learnt" and any("data.queries" in n and "compile again" in n for n in menu["notes"])
    file.write_text(whole, encoding="utf-8")


def test_a_damaged_order_is_learnt_anew(shop):
    recipe, document, _ = shop
    folder = recipe.parent / ".tokenrec/order-small"
    (folder / "1.ubj").unlink()
    code, error, _ = tokenrec("recommend", recipe, "noodles with broth")
    assert code == 2 and "compile again" in error["message"]
    assert tokenrec("compile", recipe)[1]["request_ranker"] == document["request_ranker"]
    assert tokenrec("recommend", recipe, "noodles with broth")[1]["ordered_by"] == "learnt"
    about = folder / "order.json"
    whole = about.read_text(encoding="utf-8")
    for broken in ("[]", "{", '{"kind": "request_ranker", "schema_version": 1}'):
        write(about, broken)
        assert tokenrec("recommend", recipe, "noodles with broth")[1]["ordered_by"] == "fused"
    write(about, whole)


def test_few_requests_teach_nothing_and_the_old_order_is_not_used(shop):
    recipe, _, rows = shop
    file = recipe.parent / "data/asked.jsonl"
    whole, text = file.read_text(encoding="utf-8"), recipe.read_text(encoding="utf-8")
    try:
        recipe.write_text("".join(line for line in text.splitlines(True) if "queries:" not in line), encoding="utf-8")
        assert tokenrec("recommend", recipe, "noodles with broth")[1]["ordered_by"] == "fused"
        recipe.write_text(text, encoding="utf-8")
        file.write_text("".join(json.dumps(r) + "\n" for r in rows[:40]), encoding="utf-8")
        code, document, said = tokenrec("compile", recipe)
        assert code == 0 and document["request_ranker"] is None and "too few" in said
        assert any("too few" in n for n in document["notes"])
        assert tokenrec("recommend", recipe, "noodles with broth")[1]["ordered_by"] == "fused"
        file.write_text("".join(json.dumps(r | {"said": "?" * n}) + "\n" for n, r in enumerate(rows, 1)), encoding="utf-8")
        code, document, said = tokenrec("compile", recipe)
        assert code == 0 and document["request_ranker"] is None and "nothing to learn" in said
        file.write_text(whole, encoding="utf-8")
        assert tokenrec("compile", recipe)[1]["request_ranker"]["serves"]
        recipe.write_text("".join(line for line in text.splitlines(True) if "queries:" not in line), encoding="utf-8")
        assert tokenrec("compile", recipe)[0] == 0 and not list((recipe.parent / ".tokenrec").glob("order-*"))
    finally:
        file.write_text(whole, encoding="utf-8")
        recipe.write_text(text, encoding="utf-8")


def test_eval_says_what_the_order_is_worth(shop):
    code, document, said = tokenrec("eval", shop[0])
    found = document["queries"]
    by = {r["system"]: r["value"] for r in found["systems"] if r["metric"] == "ndcg@10"}
    told = {r["system"]: r["value"] for r in shop[1]["request_ranker"]["systems"] if r["metric"] == "ndcg@10"}
    assert by["ranked"] == pytest.approx(told["ranked"]) and by["ranked"] > by["rrf"], said


def test_it_learns_from_the_retriever_that_serves(shop, tmp_path):
    """Also from one that this compile had too few requests to train anew: recommend likens by it."""
    from tokenrec.encoders.encoder import open_encoder
    from tokenrec.recipe.load import load_recipe

    source = shop[0]
    shutil.copytree(source.parent, tmp_path / "shop")
    recipe, text = tmp_path / "shop/recipe.yaml", source.read_text(encoding="utf-8")
    asking = "  asking:\n    for: item\n    inputs: [name]\n    write: A request.\n    outputs: {query: {type: text}}\n"
    write(recipe, text.replace("ranker: {", asking + "retriever: {from: [asking]}\nranker: {"))
    (folder := tmp_path / "shop/.tokenrec/retriever-small/trained").mkdir(parents=True)
    (folder / "model").symlink_to(open_encoder(load_recipe(recipe).project, "minilm").path)
    write(folder.parent / "retriever.json", json.dumps({
        "kind": "retriever", "schema_version": 1, "id": "earlier", "serves": True, "rerank": None, "looks": {"trained": []},
    }))  # fmt: skip
    code, document, said = tokenrec("compile", recipe)
    assert code == 0 and document["retriever"] is None and document["request_ranker"]["retriever"] == "earlier", said
    menu = tokenrec("recommend", recipe, "noodles with broth")[1]
    assert menu["likened_by"].startswith("retriever-trained") and menu["ordered_by"] == "learnt", menu["notes"]


def test_requests_that_can_not_be_used_are_said_before_anything_is_written(tmp_path):
    recipe = project(tmp_path, recipe=RECIPE.replace("  simulated: true\n", QUERIES))
    write(tmp_path / "data/asked.jsonl", json.dumps({"said": "tofu", "dish": "of another shop"}) + "\n")
    for command in ("plan", "compile"):
        code, document, said = tokenrec(command, recipe)
        assert code == 2 and "no request is answered" in document["message"], said
    assert not store(tmp_path).execute("select count(*) from completions").fetchone()[0]


def test_what_is_served_is_told_to_it_as_what_it_learnt_from():
    """Of 3,000 items too: a place below the thousandth is none."""
    from types import SimpleNamespace

    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(3000, 8)).astype(np.float32)
    vectors[5] = np.nan
    texts, asked = [f"dish {i % 50}" for i in range(len(vectors))], draw.normal(size=8).astype(np.float32)
    server = SimpleNamespace(
        words_of_items=bm25(texts), raw=SimpleNamespace(matrix=vectors), trained=None, order=["a ranker"],
        encoder=SimpleNamespace(model=SimpleNamespace(encode=lambda texts, **how: asked[None])),
    )  # fmt: skip
    learnt = [bm25(texts)(["dish 7"]), nearest(vectors, lambda texts: asked[None])(["dish 7"])]
    served = list(_tops(server, "dish 7", np.ones(len(vectors), bool)).values())
    for one, other in zip(columns(learnt), columns(served), strict=True):
        assert one == pytest.approx(other, nan_ok=True, abs=1e-6)

"""evals/benchmarks/cold.py on a tiny folder as MovieLens has it, whose texts are recorded: new movies and their viewers."""

import json
import random
import sys

import jsonschema
import pytest
from rich.console import Console

from tests.end_to_end.worlds import ROOT, tokenrec, write
from tokenrec.report.progress import Stages

MOVIES, VIEWERS = 40, 150
KINDS = {
    "western": "sheriff saloon canyon horse rancher outlaw stagecoach prairie",
    "space": "rocket orbit alien planet astronaut asteroid robot galaxy",
    "heist": "burglar vault casino diamond detective getaway safecracker bank",
    "ghost": "mansion seance spirit candle graveyard medium phantom curse",
}
MOODS = ["gentle", "bitter", "wry", "tender", "bleak", "solemn", "giddy", "hushed", "feverish", "stately", "playful", "tense"]
MORE = ["harbour", "orchard", "lantern", "glacier", "violin", "carnival", "mirror", "railway", "letter", "garden"]


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "evals/benchmarks"))
        import cold

        yield cold
    del sys.modules["cold"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Viewers keep to one kind of film, which the recorded text tells and neither title nor genre does."""
    root, draw = tmp_path_factory.mktemp("movielens"), random.Random(5)
    kinds, lines, told = list(KINDS), ["movieId,title,genres"], []
    for i in range(MOVIES):
        lines.append(f'{i + 1},"{MORE[i % 10].title()} {MORE[i // 10].title()} ({1960 + i})",Drama')
        words = draw.sample(KINDS[kinds[i % 4]].split(), 3) + draw.sample(MOODS, 2)
        said = dict.fromkeys(FACTORS, "unknown") | {
            "genre": " ".join(draw.sample(words, 5)).capitalize() + f" {draw.choice(MORE)}.",
            "mood": " ".join(draw.sample(MOODS, 3) + draw.sample(MORE, 3)).capitalize() + ".",
        }
        told += [{"task": "knowledge", "subject": str(i + 1), "sample": n, "output": said} for n in range(4)]
    write(root / "data/movies.csv", "\n".join(lines) + "\n")
    rows = []
    for u in range(1, VIEWERS + 1):
        mine = [m for m in range(1, MOVIES + 1) if (m - 1) % 4 == u % 4]
        seen = {*draw.sample(mine, 8), *draw.sample(range(1, MOVIES + 1), 4)}
        rows += [(draw.randint(1, 10**6), u, m, 5.0 if m in mine else 3.0) for m in sorted(seen)]
    text = "\n".join(f"{u},{m},{v},{t}" for t, u, m, v in sorted(rows))
    write(root / "data/ratings.csv", f"userId,movieId,rating,timestamp\n{text}\n")
    write(root / "told.jsonl", "".join(json.dumps(t) + "\n" for t in told))
    return root


FACTORS = ["genre", "people", "setting", "character", "plot", "mood", "acclaim", "production", "soundtrack"]


def test_arms_lifts_and_factors_of_new_movies(bench, world, capsys):
    file = bench.project(world / "data", world / "project", None, world / "told.jsonl")
    quiet = Stages(Console(quiet=True))
    document = bench.measure(file, quiet, "test", "pair", None, True)
    compiled = json.loads((ROOT / "tokenrec/report/schemas/compile.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(document["arms"], {**compiled["properties"]["arms"], "$defs": compiled.get("$defs", {})})
    assert json.loads(json.dumps(document, allow_nan=False, default=str))["kind"] == "cold_benchmark"
    assert document["cold_items"] >= 4 and document["cold_events"] > 20 and document["test_reads"] == 1
    cold = {a["arm"]: a for a in document["arms"] if (a["slice"], a["metric"]) == ("cold_items", "ndcg@10")}
    assert set(cold) >= {"behaviour", "raw_text", "raw_text+tokens", "raw_text+knowledge", "placebo", "ungated",
                         "extractive", "raw_text@adaptor", "raw_text+tokens@adaptor", "placebo@adaptor",
                         "raw_text@pca", "raw_text+tokens@pca", "placebo@pca"}  # fmt: skip
    assert all(a["low"] <= a["value"] <= a["high"] and a["n"] > 10 for a in cold.values())
    lifts = {(r["arm"], r["over"], r["slice"]): r for r in document["lifts"] if r["metric"] == "ndcg@10"}
    for arm, over, slice in lifts:
        if slice == "cold_items":
            assert lifts[arm, over, slice]["lift"] == pytest.approx(cold[arm]["value"] - cold[over]["value"], abs=1e-9)
    assert lifts["raw_text+tokens", "raw_text", "cold_items"]["low"] > 0  # the recorded genre decides here
    (task,) = document["factors"]
    by = {f["factor"]: f for f in task["factors"]}
    assert task["factors"][0]["factor"] == "genre" and by["genre"]["alone"] > by["mood"]["alone"]
    assert by["genre"]["left_out"] > 0 and set(by) <= set(FACTORS)
    bench.show(document, Console(width=100))
    said = capsys.readouterr().out
    assert "raw_text+tokens@adaptor" in said and "…" not in said and "genre" in said

    code, measured, said = tokenrec("factors", file, "--measure", "--on", "test")
    assert code == 0, said
    schema = ROOT / "tokenrec/report/schemas/factor_lifts.schema.json"
    jsonschema.validate(measured, json.loads(schema.read_text(encoding="utf-8")))
    assert measured["tasks"] == document["factors"] and measured["test_reads"] == 2
    code, tuned, said = tokenrec("factors", file, "--measure")
    assert code == 0 and tuned["window"] == "tune" and tuned["test_reads"] is None, said
    assert tuned["tasks"] != measured["tasks"]


def test_a_folder_of_nothing_known_is_refused(bench, tmp_path):
    with pytest.raises(SystemExit, match=r"movies\.csv"):
        bench.which(tmp_path)


def test_factors_want_a_task_with_several(finished):
    code, document, _ = tokenrec("factors", finished.recipe, "--measure")
    assert code == 2 and "two outputs or more" in json.dumps(document)

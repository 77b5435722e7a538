"""`tokenrec export`: a recording that gives the same tokens and arms elsewhere, and tokens for other tools."""

import csv
import json
import random
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import TWICE
from tests.end_to_end.test_main_job import holds
from tests.end_to_end.worlds import RECIPE, ROOT, TASTES, answers, dishes, lend_vectors, project, store, tokenrec, write
from tokenrec.cli import export as module
from tokenrec.errors import InputError
from tokenrec.features.prestored import Prestored
from tokenrec.lm.replay import read_recording

TOKENS = "select task, subject, kind, output, probabilities from tokens order by task, subject"


def export(recipe, *args, code=0):
    got, document, said = tokenrec("export", recipe, *args)
    assert got == code, said
    holds(document)
    return document


def tokens(root):
    return [tuple(r) for r in store(root).execute(TOKENS)]


def replayed(root, recipe, elsewhere, text):
    """Export, and compile another project with the same data from the recording: its document."""
    document = export(recipe, "--completions", root / "out.jsonl")
    assert document["notes"] == [] and document["completions"]["lines"] == len(read_lines(root / "out.jsonl"))
    again = project(elsewhere, recipe=text, models="{kind: replay, path: out.jsonl}")
    shutil.copy(root / "out.jsonl", elsewhere)
    for name in ("dishes.jsonl", "events.csv"):
        shutil.copy(root / "data" / name, elsewhere / "data" / name)
    lend_vectors(root, elsewhere)
    code, document, said = tokenrec("compile", again)
    assert code == 0, said
    assert document["lm_calls"] == 0 and not store(elsewhere).execute("select 1 from spend").fetchall()
    return document


def read_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def states(document):
    return [{k: t[k] for k in ("task", "accepted", "rejected", "malformed", "failed")} for t in document["tasks"]]


def malformed(recipe) -> list[tuple]:
    """Of each task: the share of first answers that were malformed, and of those that still are."""
    code, document, said = tokenrec("eval", recipe)
    assert code == 0, said
    shares = [(t["malformed_rate_before"], t["malformed_rate"]) for t in document["tasks"]]
    assert any(before > after for before, after in shares)
    return shares


def test_a_replay_elsewhere_gives_the_same_tokens_and_arms(served, tmp_path):
    """With a repaired answer, one that is malformed for good, a best of two and one that never came."""
    document = replayed(served.root, served.recipe, tmp_path, TWICE)
    assert tokens(tmp_path) == tokens(served.root)
    assert document["arms"] == served.first["arms"] and document["leaderboard"] == served.first["leaderboard"]
    assert states(document) == states(served.first)
    assert malformed(tmp_path / "recipe.yaml") == malformed(served.recipe)
    query = "select task, first_raw, finish_reason, raw from completions where first_raw is not null order by raw"
    repairs = [[tuple(r) for r in store(root).execute(query)] for root in (tmp_path, served.root)]
    assert repairs[0] == repairs[1] and len(repairs[0]) == 3
    lines = read_lines(served.root / "out.jsonl")
    assert sorted({r["sample"] for r in lines}) == [0, 1] and sum("first_raw" in r for r in lines) == 3
    assert {r["model"] for r in lines} == {"openai/small"} and sum(r["prompt_tokens"] for r in lines) == 6200
    (tmp_path / "more.jsonl").write_text((served.root / "out.jsonl").read_text())
    assert len(read_recording(tmp_path / "more.jsonl")) == 2 * len(lines)  # by input, and by subject


def test_scored_probabilities_are_calibrated_alike(finished, tmp_path):
    draw, recorded = random.Random(3), [r for r in answers(dishes()) if r["task"] != "flavour"]
    for dish in dishes():
        parts = [draw.random() ** 3 for _ in TASTES]
        chances = {t: round(p / sum(parts), 6) for t, p in zip(TASTES, parts, strict=True)}
        raw = json.dumps({"taste": {"probabilities": chances}})
        recorded.append({"task": "flavour", "subject": dish["dish_id"], "raw": raw, "probabilities": {"taste": chances}})
    recipe = project(tmp_path / "a", recorded=recorded)
    lend_vectors(finished.root, tmp_path / "a")
    code, first, said = tokenrec("compile", recipe)
    assert code == 0, said
    document = replayed(tmp_path / "a", recipe, tmp_path / "b", RECIPE)
    assert tokens(tmp_path / "a") == tokens(tmp_path / "b") and document["arms"] == first["arms"]
    assert "weights" in store(tmp_path / "b").execute("select state from programs where task = 'flavour'").fetchone()[0]
    # subjects that came after the calibration: said, since the replay calibrates on all
    db = store(tmp_path / "a")
    changed = "update completions set probabilities = replace(probabilities, '\"sweet\":0.', '\"sweet\":0.0')"
    assert db.execute(changed).rowcount
    db.commit()
    assert "flavour" in export(recipe, "--completions", tmp_path / "c.jsonl")["notes"][0]


def test_the_embedded_model_is_replayed_without_it(finished, tmp_path):
    text = RECIPE[: RECIPE.index("  menu_line:")] + RECIPE[RECIPE.index("  palate:"):]
    recipe = project(tmp_path / "a", recipe=text.replace("WRITER", "embedded"))
    lend_vectors(finished.root, tmp_path / "a")
    code, first, said = tokenrec("compile", recipe)
    assert code == 0 and first["lm_calls"] == 34, said
    document = replayed(tmp_path / "a", recipe, tmp_path / "b", text)
    assert tokens(tmp_path / "a") == tokens(tmp_path / "b") and document["arms"] == first["arms"]
    assert any("probabilities" in r for r in read_lines(tmp_path / "a/out.jsonl"))


def test_equal_inputs_are_one_line(finished, tmp_path):
    items = dishes()
    items[8] = items[6] | {"dish_id": "twin"}
    recorded = [{"task": "flavour", "subject": items[6]["dish_id"], "output": {"taste": ["sour"]}}]
    recipe = project(tmp_path, items=items, recorded=recorded)
    lend_vectors(finished.root, tmp_path)
    assert tokenrec("compile", recipe)[0] == 0
    (line,) = [r for r in _lines(recipe, tmp_path) if r["task"] == "flavour"]
    assert line["subject"] == items[6]["dish_id"] and len(tokens(tmp_path)) == 2


def _lines(recipe, tmp_path):
    export(recipe, "--completions", tmp_path / "o.jsonl")
    return read_lines(tmp_path / "o.jsonl")


def test_tokens_in_three_forms(served, tmp_path):
    documents = [export(served.recipe, "--tokens", tmp_path / f"t.{form}")["tokens"] for form in ("csv", "jsonl", "parquet")]
    columns = ["task", "subject", "kind", "by", "taste", "line", "likes"]
    expected = [
        {"task": task, "subject": subject, "kind": kind, "by": "lm", **json.loads(output)} for task, subject, kind, output, _ in tokens(served.root)
    ]
    assert all((d["rows"], d["columns"]) == (len(expected), columns) for d in documents)
    assert read_lines(tmp_path / "t.jsonl") == expected
    table = pq.read_table(tmp_path / "t.parquet")
    assert table.column_names == columns and str(table.schema.field("taste").type).startswith("list")
    assert [{k: v for k, v in r.items() if v is not None} for r in table.to_pylist()] == expected
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    said = [{k: json.loads(v) if k in ("taste", "likes") else v for k, v in r.items() if v} for r in rows]
    assert said == expected


def test_what_a_person_wrote_wins_and_is_called_theirs(served, tmp_path):
    told = {subject: (task, output) for task, subject, _, output, _ in tokens(served.root) if task == "palate"}
    mine, hidden, *_ = told
    text, theirs = served.recipe.read_text(), {"likes": ["sour", "sweet"]}
    assert theirs != json.loads(told[mine][1]) and "aa-new" not in told
    rows = [{"subject": mine, "output": theirs}, {"subject": hidden, "output": None}, {"subject": "aa-new", "output": theirs}]
    write(served.root / "mine.jsonl", "".join(json.dumps(r) + "\n" for r in rows))
    write(served.recipe, text.replace("  palate:\n", "  palate:\n    overrides: mine.jsonl\n"))
    try:
        for form in ("jsonl", "csv", "parquet"):
            export(served.recipe, "--tokens", tmp_path / f"t.{form}")
    finally:
        write(served.recipe, text)
    palate = [r for r in read_lines(tmp_path / "t.jsonl") if r["task"] == "palate"]
    said = {r["subject"]: r for r in palate}
    assert said[mine] == {"task": "palate", "subject": mine, "kind": "user", "by": "override", **theirs}
    assert said["aa-new"]["by"] == "override" and hidden not in said and len(palate) == len(told)
    assert [r["subject"] for r in palate] == sorted(said)
    assert {r["by"] for s, r in said.items() if s not in (mine, "aa-new")} == {"lm"}
    table = [r for r in pq.read_table(tmp_path / "t.parquet").to_pylist() if r["task"] == "palate"]
    assert [(r["subject"], r["by"], r["likes"]) for r in table] == [(r["subject"], r["by"], r["likes"]) for r in palate]
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        assert {r["subject"] for r in csv.DictReader(file) if r["by"] == "override"} == {mine, "aa-new"}


def test_a_file_that_exists_is_replaced_whole_or_not_at_all(served, tmp_path, monkeypatch):
    target = tmp_path / "t.csv"
    target.write_text("old")

    def stops(path, columns, rows):
        path.write_text("half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(module.WRITERS, ".csv", stops)
        assert tokenrec("export", served.recipe, "--tokens", target)[0] == 3
    assert target.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["t.csv"]
    export(served.recipe, "--tokens", target)
    assert target.read_text().startswith("task,subject,kind,by")
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_wrong_use(served, tmp_path):
    def message(*args):
        return export(served.recipe, *args, code=2)["message"]

    assert "--completions" in message()
    assert ".jsonl" in message("--completions", tmp_path / "x.csv")
    assert ".parquet" in message("--tokens", tmp_path / "x.xlsx")
    assert "can't be written" in message("--tokens", tmp_path / "no/x.csv")
    write(tmp_path / "tokenrec.yaml", "store: s.db\n")
    assert "nothing is written yet" in message("--tokens", tmp_path / "x.csv", "--store", tmp_path / "s.db")


def test_memory_stays_flat(tmp_path):
    """Four times the rows take no more memory: rows go from the cursor to the file."""
    peaks = [int(_peak(tmp_path, n)) for n in (20_000, 80_000)]
    assert peaks[1] < peaks[0] + 6_000_000, peaks


def _peak(tmp_path, n: int) -> str:
    """Most bytes that Python held during an export of `n` completions and tokens."""
    from tokenrec.store.store import open_store

    root = tmp_path / str(n)
    recipe = project(root)
    db = open_store(root / ".tokenrec/store.db").conn
    db.execute("begin")
    db.execute("insert into programs values ('p', 'small', 'flavour', 'm#1', '', '{}', '')")
    db.execute("insert into current values ('small', 'flavour', 'p', 'm#1', 'g')")
    db.executemany("insert into subjects values ('small', 'flavour', ?, 'item', 'p', 'm#1', ?, null, null)",
                   ((f"s{i}", f"h{i}") for i in range(n)))  # fmt: skip
    db.executemany(
        "insert into completions (completion_id, program_id, lm_id, input_hash, sample, task, inputs, raw, output, state,"
        " gate_id, prompt_tokens, completion_tokens, calls, created) values (?, 'p', 'm#1', ?, 0, 'flavour', '{}', ?, ?,"
        " 'accepted', 'g', 0, 0, 0, '')",
        ((f"c{i}", f"h{i}", "x" * 300, '{"taste":["sour"]}') for i in range(n)),
    )
    db.execute("commit")
    db.close()
    code = (f"import tracemalloc, sys; from tokenrec.cli.main import run; tracemalloc.start(); "
            f"assert run(['export', {str(recipe)!r}, '--quiet', '--completions', {str(root / 'c.jsonl')!r},"
            f" '--tokens', {str(root / 't.csv')!r}]) == 0; print(tracemalloc.get_traced_memory()[1]);"
            " print([m for m in ('dspy', 'torch', 'xgboost', 'litellm', 'pyarrow') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    *_, peak, heavy = done.stdout.splitlines()
    assert heavy == "[]"
    return peak


def test_features_can_be_served_without_a_store(served, tmp_path):
    document = export(served.recipe, "--features", tmp_path / "vectors")
    outputs = {f"{o['task']}.{o['output']}": o for o in document["features"]["outputs"]}
    rows = store(served.root).execute(TOKENS).fetchall()
    taste, line = (Prestored(tmp_path / "vectors", name) for name in ("flavour.taste", "menu_line.line"))
    assert isinstance(line.matrix, np.memmap) and line.about["version"] == outputs["menu_line.line"]["version"]
    said = {(r["task"], r["subject"]): json.loads(r["output"]) for r in rows}
    for dish in dishes():
        one = said.get(("flavour", dish["dish_id"]))
        vector = taste.get(dish["dish_id"])
        assert (vector is None) == (one is None)
        if one:
            assert {c for c, x in zip(taste.about["columns"], vector, strict=True) if x} == set(one["taste"])
    told = {s: o["line"] for (t, s), o in said.items() if t == "menu_line"}
    many = line.many([*told, "nobody"])
    assert np.isnan(many[-1]).all() and np.allclose(np.linalg.norm(many[:-1], axis=1), 1, atol=1e-5)
    assert all(np.array_equal(line.get(s), v) for s, v in zip(told, many)) and line.get("nobody") is None
    again = export(served.recipe, "--features", tmp_path / "vectors")
    assert again == document
    flat = export(served.recipe, "--features", tmp_path / "v.parquet")
    table = pq.read_table(tmp_path / "v.parquet").to_pylist()
    assert len(table) == flat["features"]["rows"] == document["features"]["rows"]
    one = next(r for r in table if r["task"] == "menu_line")
    assert np.array_equal(np.array(one["vector"], np.float32), line.get(one["subject"]))
    with pytest.raises(InputError, match="no exported vectors"):
        Prestored(tmp_path, "menu_line.line")
    np.save(tmp_path / "vectors/menu_line.line.npy", np.zeros((1, 2), np.float32))
    with pytest.raises(InputError, match="different exports"):
        Prestored(tmp_path / "vectors", "menu_line.line")
    assert "name a FILE.parquet" in export(served.recipe, "--features", tmp_path / "x.csv", code=2)["message"]

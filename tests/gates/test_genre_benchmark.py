"""evals/benchmarks/genre.py on a small folder laid out like once_goodreads: what the gates say of recorded inventions."""

import gzip
import importlib.util
import json
import sys
from pathlib import Path

import pytest

WORDS = ["harbours", "ledgers", "bakers", "winters", "orchards", "lanterns", "surgeons", "violins", "glaciers", "tailors", "comets", "beekeepers", "canals", "mirrors", "convicts", "sparrows", "archives", "pilots", "embers", "twins", "foxes", "bridges", "duchess", "chemists", "islands", "nephews", "monks", "deserts", "typists", "rivers", "widows", "trams", "clocks", "giants", "stowaways", "quarries", "tigers", "maps", "tenors"]  # fmt: skip
BENCH = Path(__file__).parents[2] / "evals/benchmarks"
DATA = BENCH.parents[2] / "shared/data/once_goodreads"


@pytest.fixture(scope="module")
def genre():
    spec = importlib.util.spec_from_file_location("genre_benchmark", BENCH / "genre.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def write(path, rows):
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "books.jsonl.gz", [{"bid": str(n), "title": f"Volume {n} of the sea"} for n in range(40)])
    write(tmp_path / "histories.jsonl.gz", [{"uid": u, "history": [str(u), str(u + 1), str(u + 2)]} for u in range(30)])
    write(tmp_path / "llm_descriptions.jsonl.gz", [{"bid": "1", "title": "Volume 1 of the sea", "description": "Waves.", "raw_response": ""}])
    write(tmp_path / "llm_profiles.jsonl.gz", [{"uid": 0, "interest": ["sea", "ships"]}, {"uid": 1, "interest": ["coming of age", "war"]}])
    made = []
    for u in range(30):
        a, b, c, d = (WORDS[(u * 7 + k * k + k * u) % len(WORDS)] for k in range(4))
        title, text = f"{a.title()} of {b.title()}", f"Nobody in {c} trusts {a}, until {d} finds {b} under {u} stones."
        if u < 10:
            title = "THE ALCHEMIST" if u % 2 else "The Alchemist"
        elif u == 10:
            title = f"Volume {u} of the sea"  # their own history
        elif u == 11:
            title = "Volume 35 of the sea"  # it exists
        elif u == 12:
            text = "I'm sorry, but as an AI language model I can't describe this book."
        made.append({"gen_id": f"v1:{u}", "version": "v1", "uid": u, "json_ok": True,
                     "raw_response": json.dumps({"title": title, "description": text})})  # fmt: skip
    made.append({"gen_id": "v2:0", "version": "v2", "uid": 0, "json_ok": False, "raw_response": "no JSON"})
    write(tmp_path / "llm_synthetic_books.jsonl.gz", made)
    return tmp_path


def test_collapse_repetition_and_existing_books_are_refused(genre, folder, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["genre.py", str(folder), "--gates-only", "--json"])
    assert genre.main() == 0
    document = json.loads(capsys.readouterr().out)
    assert document["arms"] == []
    g = document["gates"]
    assert g["n"] == 31 and g["distinct_titles"] == 22 and g["top_title_share"] == pytest.approx(10 / 31)
    assert g["repeat_own_history"] == 1
    by = {gate: round(share * 31) for gate, share in g["by_gate"].items()}
    assert by["noise/collapse.title"] == 10 and by["noise/known.title"] == 1 and by["noise/exists.title"] == 1
    assert by["noise/refusal.description"] == 1 and any(gate.startswith("schema") for gate in by)
    assert g["accepted"]["n"] == 17 == round((1 - g["rejected"]) * 31) and g["accepted"]["distinct_titles"] == 17
    assert g["profiles"]["more_than_one_word"] == 0.5


def test_another_folder_is_refused(genre, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["genre.py", str(tmp_path)])
    with pytest.raises(SystemExit, match="laid out like"):
        genre.main()


@pytest.mark.skipif(not DATA.is_dir(), reason="shared/data/once_goodreads is not here")
def test_once_s_inventions_collapse_onto_few_titles(genre):
    g = genre.gates(DATA)
    assert g["n"] == 2238 and g["distinct_titles"] == 425 and g["top_title_share"] == pytest.approx(219 / 2238)
    assert g["rejected"] > 0.8 and g["accepted"]["distinct_titles"] > 0.9 * g["accepted"]["n"]

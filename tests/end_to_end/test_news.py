"""recipes/news.yaml from a recording: MIND's format, GENRE's programs, invented items and people's own words."""

import csv
import json
import re
import shutil

import pytest

from tests.end_to_end.test_optimizers import valid
from tests.end_to_end.worlds import ROOT, store, tokenrec, write
from tokenrec.cli.main import run

READERS = 90
PROMISES = "U50"  # whose summary has names and numbers of its own
TOPICS = ["sports", "finance", "health", "travel", "science"]
TITLES = {
    "N1": "Late header decides the match for Harbour Town",
    "N2": "Orla Venn stops after 700 matches",  # the abstract has 612
    "N3": "Kestrels fined after 2 matches; Elmswick laughs",  # Elmswick is in no abstract of theirs
    "N9": "Copper falls as mines open again",
    "N16": "Teachers' fund sells its coal shares, held since 1988",
}


def histories() -> dict[str, list[str]]:
    """Clicked news of those who have at least six, as recipes/news.yaml wants for `past`."""
    rows = [line.split("\t") for line in (ROOT / "recipes/news/behaviors.tsv").read_text().splitlines()]
    return {r[1]: r[3].split() for r in rows if len(r[3].split()) >= 6}


def summary(clicks: list[str], news: dict[str, list[str]]) -> str:
    """Two sentences from a history, of its own subjects and words."""
    said = [max(re.findall("[a-z]{4,}", news[n][3].lower()), key=len) for n in clicks]
    subjects = [news[n][1] for n in clicks]
    return f"{max(sorted(set(subjects)), key=subjects.count).capitalize()}: {', '.join(said[:4])}. Then {said[-2]} and {said[-1]}."


def recorded() -> list[dict]:
    news = [line.split("\t") for line in (ROOT / "recipes/news/news.tsv").read_text().splitlines()]
    rows = [{"task": "retitle", "subject": n, "output": {"new_title": t}} for n, t in TITLES.items()]
    rows += [{"task": "subject", "subject": n[0], "output": {"topic": [n[1]]}} for n in news]
    for u in range(1, READERS + 1):
        rows.append({"task": "profile", "subject": f"U{u}", "output": {"topics": [TOPICS[u % 5]]}})
        said = {"title": f"The {u} lamps of {TOPICS[u % 5]} street", "abstract": f"Someone counted {u} lamps. A neighbour disagrees."}
        if u % 7 == 0:
            said = {"title": "A star is born again", "abstract": "It shines over the sea."}  # collapse
        if u == 8:
            said["title"] = "Beavers raise a meadow's water"  # exists
        rows.append({"task": "imagined", "subject": f"U{u}", "output": said})
    for reader, clicks in histories().items():
        text = summary(clicks, {n[0]: n for n in news})
        if reader == PROMISES:
            text = "All of it is about Lisbon, where 4,000 people waited."  # no title has Lisbon, or as many
        rows.append({"task": "past", "subject": reader, "output": {"summary": text}})
    return rows


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    root = tmp_path_factory.mktemp("paper")
    shutil.copytree(ROOT / "recipes/news", root / "news")
    text = (ROOT / "recipes/news.yaml").read_text(encoding="utf-8")
    text = text.replace("tasks:\n", "lm: {writer: tape}\ntasks:\n", 1).replace("seeds: 3", "seeds: 1")
    text = text.replace("    samples: 2\n", "").replace("    temperature: 0.7\n", "").replace("most: 60, order", "most: 90, order")
    write(root / "recipe.yaml", text)
    write(root / "tokenrec.yaml", "models:\n  tape: {kind: replay, path: tape.jsonl}\n")
    write(root / "tape.jsonl", "".join(json.dumps(r) + "\n" for r in recorded()))
    code, document, said = tokenrec("compile", root / "recipe.yaml")
    assert code == 0, said
    return root, document, said


def document_order(document) -> list[str]:
    """Tasks in the order in which they ran."""
    told = {r["task"] for r in document["leaderboard"]}
    return [t["task"] for t in document["tasks"] if t["task"] in told]


def test_the_report_has_mind_s_metrics_by_impression(paper, capsys):
    root, document, _ = paper
    rows = valid(document)["by_impression"]
    by = {(r["arm"], r["metric"]): r for r in rows}
    assert {m for _, m in by} == {"auc", "mrr", "ndcg@5", "ndcg@10"}
    arms = {a["arm"]: a["value"] for a in document["arms"] if (a["metric"], a["slice"]) == ("ndcg@10", "all")}
    assert {a for a, _ in by} == set(arms)
    for arm, value in arms.items():
        assert by[arm, "ndcg@10"]["value"] == pytest.approx(value)
        assert by[arm, "auc"]["n"] == document["lists"]["n_test"]
    tasks = [r["task"] for r in document["leaderboard"]]
    assert "past" in tasks
    for row in document["leaderboard"]:  # two ways to the same figure
        assert by[f"raw_text+{row['task']}", "ndcg@10"]["lift_over_placebo"] == pytest.approx(row["lift_over_placebo"])
    assert all((r["lift_over_placebo"] is None) == (r["arm"] not in {f"raw_text+{t}" for t in [*tasks, "tokens"]}) for r in rows)
    assert run(["compile", str(root / "recipe.yaml")]) == 0
    said = capsys.readouterr().out
    table = said[said.index("By impression, over placebo"):].split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in table[2:]] == ["raw_text+tokens", *(f"raw_text+{t}" for t in document_order(document))]
    assert max(map(len, table)) <= 80


def test_a_headline_promises_only_what_the_abstract_has(paper):
    root, _, _ = paper
    rows = store(root).execute("select subject, gate from subjects s join completions c using (program_id, input_hash)"
                               " left join verdicts v on v.completion_id = c.completion_id and not v.passed"
                               " where s.task = 'retitle'").fetchall()  # fmt: skip
    assert dict(rows) == {"N1": None, "N2": "factuality/numbers", "N3": "factuality/entities", "N9": None, "N16": None}


def test_inventions_are_gated_weighed_and_called_synthetic(paper, tmp_path):
    root, document, said = paper
    db = store(root)
    assert {r[0] for r in db.execute("select kind from tokens where task = 'imagined'")} == {"synthetic"}
    reasons = next(t for t in document["tasks"] if t["task"] == "imagined")["reject_reasons"]
    assert reasons["noise/collapse"] >= 12 and reasons["noise/exists"] == 1
    assert "on tune-A" in said and "close to what is liked in tune" in said
    candidates = {r[0] for r in db.execute("select distinct item from windows")}
    assert all(c.startswith("N") for c in candidates)  # nothing invented among the events
    tape, tokens = tmp_path / "tape.jsonl", tmp_path / "tokens.jsonl"
    assert tokenrec("export", root / "recipe.yaml", "--completions", tape, "--tokens", tokens)[0] == 0
    marked = [json.loads(line) for line in tape.read_text().splitlines()]
    assert all(bool(row.get("synthetic")) == (row["task"] == "imagined") for row in marked)
    kinds = {(r["task"], r["kind"]) for r in map(json.loads, tokens.read_text().splitlines())}
    assert ("imagined", "synthetic") in kinds and ("profile", "user") in kinds


def test_a_long_history_in_two_sentences_reaches_the_ranker(paper, tmp_path):
    root, document, _ = paper
    long, db = histories(), store(root)
    title = {n[0]: f"{n[1]} {n[3]}" for n in (line.split("\t") for line in (root / "news/news.tsv").read_text().splitlines())}
    told = dict(db.execute("select s.subject, json_extract(c.inputs, '$.liked') from subjects s join completions c"
                           " using (program_id, input_hash) where s.task = 'past'").fetchall())  # fmt: skip
    shown = {reader: json.loads(liked) for reader, liked in told.items()}
    assert shown.keys() == long.keys() and len(long) == 30
    for reader, clicks in long.items():
        assert [re.sub(r"\W+", " ", x) for x in shown[reader]] == [re.sub(r"\W+", " ", title[n]) for n in clicks]  # oldest first
    assert [r[0] for r in db.execute("select instructions from programs where task = 'past'")] == ["genre.HistoryCompressor"]
    accepted = {r[0] for r in db.execute("select subject from tokens where task = 'past'")}
    assert accepted == long.keys() - {PROMISES}
    reasons = next(t for t in document["tasks"] if t["task"] == "past")["reject_reasons"]
    assert len(reasons) == 1 and next(iter(reasons)).startswith("factuality/")
    code, made, _ = tokenrec("export", root / "recipe.yaml", "--features", tmp_path / "vectors")
    assert code == 0 and next(o for o in made["features"]["outputs"] if o["task"] == "past")["n"] == len(accepted)
    values = {a["arm"]: a["value"] for a in document["arms"] if (a["metric"], a["slice"]) == ("ndcg@10", "all")}
    assert values["raw_text+past"] != values["raw_text"] and "past" in {r["task"] for r in document["leaderboard"]}


def test_old_and_new_titles_for_a_test_on_people(paper, tmp_path):
    root, _, _ = paper
    code, document, _ = tokenrec("export", root / "recipe.yaml", "--ab", "retitle.new_title", tmp_path / "ab.csv")
    assert code == 0 and valid(document)["ab"]["rows"] == 3
    rows = list(csv.DictReader((tmp_path / "ab.csv").open()))
    assert [(r["item"], r["new"]) for r in rows] == [(n, TITLES[n]) for n in ("N1", "N16", "N9")]
    assert rows[0]["old"] == "Harbour Town win late in the rain" and len(rows[0]["program_id"]) == 64
    assert run(["export", str(root / "recipe.yaml"), "--ab", "profile.topics", str(tmp_path / "x.csv")]) == 2
    plain = (root / "recipe.yaml").read_text()
    write(root / "recipe.yaml", plain.replace("    use: genre.TitleRewriter\n", "    use: genre.TitleRewriter\n    overrides: mine.jsonl\n"))
    theirs = {"N1": {"new_title": "Harbour Town win with a late header"}, "N2": {"new_title": "Orla Venn stops"}, "N9": None}
    write(root / "mine.jsonl", "".join(json.dumps({"subject": n, "output": o}) + "\n" for n, o in theirs.items()))
    try:
        assert tokenrec("export", root / "recipe.yaml", "--ab", "retitle.new_title", tmp_path / "ab.csv")[0] == 0
    finally:
        write(root / "recipe.yaml", plain)
        (root / "mine.jsonl").unlink()
    rows = {r["item"]: r for r in csv.DictReader((tmp_path / "ab.csv").open())}
    assert {n: r["new"] for n, r in rows.items()} == {n: theirs[n]["new_title"] for n in ("N1", "N2")} | {"N16": TITLES["N16"]}
    assert rows["N1"]["program_id"] == rows["N2"]["program_id"] == "override" != rows["N16"]["program_id"]


def test_a_person_s_words_win_over_the_model_s(paper, capsys):
    root, _, _ = paper
    recipe = root / "recipe.yaml"
    code, before, _ = tokenrec("show", "user", "U12", "--recipe", recipe)
    assert code == 0 and [t["by"] for t in valid(before)["tasks"]] == ["lm", "lm"]
    assert [t["synthetic"] for t in before["tasks"]] == [False, True] and before["tasks"][0]["read_by"] == ["imagined"]
    plain = recipe.read_text()
    write(recipe, plain.replace("    use: genre.UserProfiler\n", "    use: genre.UserProfiler\n    overrides: mine.jsonl\n"))
    write(root / "mine.jsonl", '{"subject": "U12", "output": {"topics": ["travel", "sports"]}}\n{"subject": "U13", "output": null}\n')
    try:
        code, after, _ = tokenrec("show", "user", "U12", "--recipe", recipe)
        assert after["tasks"][0]["output"] == {"topics": ["travel", "sports"]} and after["tasks"][0]["by"] == "override"
        code, hidden, _ = tokenrec("show", "user", "U13", "--recipe", recipe)
        assert hidden["tasks"][0]["output"] is None and valid(hidden)["tasks"][0]["completion"]
        code, document, said = tokenrec("compile", recipe)
        assert code == 0, said
        told = dict(store(root).execute("select s.subject, json_extract(c.inputs, '$.topics') from subjects s join completions c"
                                        " using (program_id, input_hash) where s.task = 'imagined'").fetchall())  # fmt: skip
        assert json.loads(told["U12"]) == ["travel", "sports"]  # the chain is told the person's words
        assert told["U13"] is None and json.loads(told["U14"]) == [TOPICS[4]]
        write(root / "mine.jsonl", '{"subject": "U12", "output": {"topics": ["cooking"]}}\n')
        assert run(["show", "user", "U12", "--recipe", str(recipe)]) == 2
        assert "mine.jsonl:1" in capsys.readouterr().err
    finally:
        write(recipe, plain)
        (root / "mine.jsonl").unlink()


def test_forgetting_a_reader_takes_their_inventions_with_them(paper):
    root, _, _ = paper
    db = store(root)
    held = db.execute("select count(*) from vectors").fetchone()[0]
    assert db.execute("select count(*) from subjects where subject = 'U15'").fetchone()[0] >= 2
    code, document, said = tokenrec("forget", root / "recipe.yaml", "U15", "--yes")
    assert code == 0, said
    assert document["removed"]["subjects"] >= 2 and document["removed"]["vectors"] >= 1
    db = store(root)
    assert db.execute("select count(*) from subjects where subject = 'U15'").fetchone()[0] == 0
    assert db.execute("select count(*) from completions where raw like '%The 15 lamps%'").fetchone()[0] == 0
    assert db.execute("select count(*) from vectors").fetchone()[0] < held

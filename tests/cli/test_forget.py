"""`tokenrec forget`: a user's id and texts are nowhere in the bytes of the store's files."""

import hashlib
import io
import json
import os
import shutil
import sqlite3

import pyarrow.parquet as pq
import pytest

from tests.end_to_end.test_main_job import holds
from tests.end_to_end.worlds import (
    RECIPE,
    answers,
    contents,
    dishes,
    lend_vectors,
    meals,
    project,
    sound,
    store,
    tokenrec,
)
from tokenrec.cli import main as cli_main
from tokenrec.store.lock import only_run

WHO, TWIN, ALIKE, SILENT = "person-quagga-5", "person-tapir-6", "person-okapi-7", "person-numbat-8"
TEXT = "A quagga of the table who begins with soup and ends with cake."
OWN = "Someone with a wombat's patience for slow stews and warm bread."
PORTRAIT = RECIPE[: RECIPE.index("  palate:")] + """\
  portrait:
    for: user
    history: {most: 6, min: 2, show: [name]}
    write: Say who the diner is.
    outputs: {who: {type: text, max_words: 40, grounding: open}}
ranker: {seeds: 1, negatives: 10}
compile: {optimizer: none}
"""


@pytest.fixture(scope="session")
def people(finished, tmp_path_factory):
    """A project whose users have texts: one shares a text word by word, one nearly, one got none."""
    root = tmp_path_factory.mktemp("people")
    rename = {"u005": WHO, "u006": TWIN, "u007": ALIKE, "u008": SILENT}
    events = [(rename.get(u, u), *rest) for u, *rest in meals(dishes())]
    same = [(TWIN, *rest) for u, *rest in events if u == ALIKE]  # TWIN and ALIKE: one history, so one input
    events = [e for e in events if e[0] != TWIN] + same
    texts = {f"u{n:03}": f"Diner number {n} is fond of things that rhyme with {n * 7919} and {n * 104729}." for n in range(80)}
    texts |= {WHO: TEXT, TWIN: OWN, ALIKE: OWN, "u009": TEXT.replace("soup", "broth")}
    recorded = [r for r in answers(dishes()) if r["task"] != "palate"]
    recorded += [{"task": "portrait", "subject": u, "output": {"who": t}} for u, t in texts.items() if u not in rename]
    recipe = project(root, events=sorted(events, key=lambda e: e[2]), recorded=recorded, recipe=PORTRAIT)
    lend_vectors(finished.root, root)
    code, _, said = tokenrec("compile", recipe)
    assert code == 0, said
    db = store(root)
    key = db.execute("select * from completions where raw like '%quagga%'").fetchone()
    old = dict(key) | {"completion_id": "0" * 64, "input_hash": "an earlier history", "raw": '{"who": "orphan-wombat"}'}
    db.execute(f"insert into completions ({', '.join(old)}) values ({', '.join('?' * len(old))})", list(old.values()))
    db.execute("insert into audits values ('a', 'small', 'portrait', ?, ?, ?, 'noise', 'says quagga', 'us', '', null, null)",
               [key["completion_id"], WHO, key["output"]])  # fmt: skip
    db.execute("insert into skips values ('b', 'small', 'portrait', ?, ?, 'us', '')", [key["completion_id"], WHO])
    db.execute("insert into doubled values ('a', 'small', 'portrait', ?, ?, 'noise', 'us', 'sound', 'you', '')",
               [key["completion_id"], WHO])  # fmt: skip
    document = json.loads(db.execute("select document from runs").fetchone()[0])
    document["notes"] = [f"users.csv: 1 users with events are not in it (first: {WHO})."]
    db.execute("update runs set document = ?", [json.dumps(document)])
    db.commit()
    db.close()
    return root


@pytest.fixture
def root(people, tmp_path):
    shutil.copytree(people, tmp_path / "p")
    return tmp_path / "p"


def forget(root, user, *args, code=0):
    got, document, said = tokenrec("forget", root / "recipe.yaml", user, *args)
    assert got == code, said
    holds(document)
    return document, said


def found(root, *secrets: str) -> list[tuple[str, str]]:
    files = [p for p in (root / ".tokenrec").iterdir() if p.is_file()]
    assert {"store.db", "scores-small.parquet"} <= {p.name for p in files}
    return [(p.name, s) for p in files for s in secrets if s.encode() in p.read_bytes()]


def test_nothing_of_the_user_is_left_in_any_byte(root):
    secrets = (WHO, TEXT, "orphan-wombat", "says quagga")
    held = sqlite3.connect(root / ".tokenrec/store.db")  # keeps -wal and -shm there, as a browser of the store does
    held.execute("create table scratch (x text)")
    held.execute("drop table scratch")
    assert {s for _, s in found(root, *secrets)} == set(secrets)
    number, _ = store(root).execute("select list, user from lists where window = 'test' and user = ?", [WHO]).fetchone()
    before, vectors = contents(root), {r[0] for r in store(root).execute("select text_hash from vectors")}
    named = "select reason from verdicts where reason like 'nearly the text of%'"
    assert f"nearly the text of {WHO}" in [r[0] for r in store(root).execute(named)]

    document, said = forget(root, WHO, "--yes")
    assert (root / ".tokenrec/store.db-shm").exists() and (root / ".tokenrec/store.db-wal").stat().st_size == 0
    assert found(root, *secrets) == []
    held.close()
    removed = document["removed"]
    assert (removed["completions"], removed["subjects"], removed["audits"], removed["vectors"]) == (2, 1, 1, 1)
    assert (removed["skips"], removed["doubled"]) == (1, 1)
    assert removed["windows"] == 10 and removed["lists"] >= 1 and removed["metrics"] and removed["verdicts"]
    assert document["recipes"] == ["small"] and document["shared"] == 0
    assert "data/events.csv" in said and "not touched" in said and WHO in (root / "data/events.csv").read_text()
    assert "still in" not in said

    db = store(root)
    assert sound(db) and "nearly the text of [forgotten]" in [r[0] for r in db.execute(named)]
    assert "[forgotten]" in db.execute("select document from runs").fetchone()[0]
    gone = vectors - {r[0] for r in db.execute("select text_hash from vectors")}
    assert gone == {hashlib.sha256(TEXT.encode()).hexdigest()}
    (file,) = document["files"]
    path = root / ".tokenrec" / file["file"]
    stored = db.execute("select sha256 from files").fetchone()[0]
    assert "written anew" in file["what"] and stored == hashlib.sha256(path.read_bytes()).hexdigest()
    lists = pq.read_table(path)["list"].to_pylist()
    assert number not in lists and file["rows"] > 0 and len(set(lists)) == db.execute(
        "select count(*) from lists where window = 'test'").fetchone()[0]  # fmt: skip
    after = contents(root)
    for table in ("tokens", "subjects", "completions", "windows"):  # nobody else's rows have changed
        mine = [r for r in before[table] if WHO in map(str, r) or "0" * 64 in r or any(TEXT in str(c) for c in r)]
        assert sorted(after[table], key=repr) == [r for r in before[table] if r not in mine], table


def test_a_text_that_another_user_shares_is_kept_with_its_vector(root):
    document, said = forget(root, TWIN, "--yes")
    assert document["shared"] == 1 and document["removed"]["subjects"] == 1 and "share" in said
    assert found(root, TWIN) == [] and {s for _, s in found(root, ALIKE, OWN)} == {ALIKE, OWN}
    assert document["removed"]["vectors"] == 0
    document, _ = forget(root, ALIKE, "--yes")  # now it is theirs alone
    assert document["shared"] == 0 and document["removed"]["vectors"] == 1
    assert found(root, TWIN, ALIKE, OWN) == []


def test_a_user_without_a_text_has_failures_and_events(root):
    assert store(root).execute("select count(*) from failures where subject = ?", [SILENT]).fetchone()[0]
    document, _ = forget(root, SILENT, "--yes")
    assert document["removed"]["failures"] and document["removed"]["windows"] and found(root, SILENT) == []


def test_an_item_of_the_same_id_is_left_alone(root):
    item = dishes()[3]["dish_id"]
    db = store(root)
    db.execute("update windows set user = ? where user = ?", [item, WHO])
    db.execute("update subjects set subject = ?, name = ? where subject = ?", [item, item, WHO])
    db.commit()
    db.close()
    _, said = forget(root, item, "--yes")
    db = store(root)
    assert "the same characters are still in" in said
    assert db.execute("select count(*) from tokens where subject = ? and kind = 'item'", [item]).fetchone()[0] == 2
    assert db.execute("select count(*) from subjects where subject = ? and kind = 'user'", [item]).fetchone()[0] == 0
    assert sound(db) and {s for _, s in found(root, TEXT)} == set()


def test_a_score_file_that_cannot_be_read_is_deleted(root):
    path = root / ".tokenrec/scores-small.parquet"
    path.write_bytes(b"PAR1 no parquet")
    document, _ = forget(root, WHO, "--yes")
    assert "deleted" in document["files"][0]["what"] and not path.exists()
    assert not store(root).execute("select * from files").fetchall()


def test_it_asks_first(root, monkeypatch):
    before = (root / ".tokenrec/store.db").read_bytes()
    for answer in ("n\n", ""):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        document, said = forget(root, WHO, code=2)
        assert "nothing was removed" in document["message"] and "10 events" in said
    assert {s for _, s in found(root, WHO, TEXT)} == {WHO, TEXT} and (root / ".tokenrec/store.db").read_bytes() == before
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    forget(root, WHO)
    assert found(root, WHO, TEXT) == []


def test_nobody_and_a_run_in_progress(root, capsys):
    document, _ = forget(root, "nobody", "--yes", code=2)
    assert "holds nothing of a user nobody" in document["message"]
    with only_run(root / ".tokenrec/store.db", "small"):
        document, _ = forget(root, WHO, "--yes", code=4)
        assert "another run" in document["message"] and {s for _, s in found(root, WHO)} == {WHO}
    assert cli_main.run(["forget", str(root / "recipe.yaml"), WHO, "--yes"]) == 0
    assert "written anew" in capsys.readouterr().out
    forget(root, WHO, "--yes", code=2)


def test_after_the_data_forgets_too_a_compile_does_not_bring_it_back(root):
    events = (root / "data/events.csv").read_text().splitlines(keepends=True)
    (root / "data/events.csv").write_text("".join(e for e in events if WHO not in e))
    forget(root, WHO, "--yes")
    code, document, said = tokenrec("compile", root / "recipe.yaml")
    assert code == 0 and document["lm_calls"] == 0, said
    assert found(root, WHO, TEXT) == [] and os.path.exists(root / ".tokenrec/scores-small.parquet")

"""The file: migrations, strangers' files, transactions, and what the view `tokens` shows."""

import os
import sqlite3
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from tokenrec.errors import InputError, ServiceError
from tokenrec.gates.base import Finding
from tokenrec.lm.meter import Usage
from tokenrec.store import completions as store
from tokenrec.store.audits import labels_of
from tokenrec.store.completions import Key
from tokenrec.store.schema import MIGRATIONS, TABLES
from tokenrec.store.store import open_store, transaction
from tokenrec.store.verdicts import Judged, save_verdicts
from tokenrec.tasks.inputs import Prompt
from tokenrec.tasks.program import Answer

NOBODY = 65534


def test_opening_twice_migrates_once(tmp_path):
    path = tmp_path / "deep" / "s.db"
    for _ in range(2):
        db = open_store(path)
        assert [r["number"] for r in db["migrations"].rows] == list(range(1, len(MIGRATIONS) + 1))
        assert db.execute("pragma journal_mode").fetchone() == ("wal",)
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
        db.conn.close()


def test_every_table_is_documented():
    db = open_store(":memory:")
    extra = {"migrations", "current", "failures"}
    assert set(db.table_names()) - extra == set(TABLES) and "tokens" in db.view_names()


def test_an_older_store_gets_what_it_lacks(tmp_path, monkeypatch):
    open_store(tmp_path / "s.db").conn.close()

    def m999_more(db):
        db.execute("create table more (x)")

    monkeypatch.setattr("tokenrec.store.store.MIGRATIONS", [*MIGRATIONS, m999_more])
    db = open_store(tmp_path / "s.db")
    assert (
        "more" in db.table_names()
        and db.execute("select count(*) from migrations").fetchone()[0] == len(MIGRATIONS) + 1
    )


def test_labels_of_an_older_store_stay(tmp_path, monkeypatch):
    before = MIGRATIONS[: [m.__name__ for m in MIGRATIONS].index("m005_audits_by_sentence")]
    with monkeypatch.context() as patch:
        patch.setattr("tokenrec.store.store.MIGRATIONS", before)
        db = open_store(tmp_path / "s.db")
        db.execute("insert into audits values ('a', 'r', 't', 'c', 's', '{}', 'noise', 'dull', 'Ann', 'then')")
        db.conn.close()
    (label,) = labels_of(open_store(tmp_path / "s.db"), "r").values()
    assert (label["label"], label["who"], label["unsupported"], label["blind"]) == ("noise", "Ann", None, None)


def test_a_broken_migration_leaves_no_trace(tmp_path, monkeypatch):
    open_store(tmp_path / "s.db").conn.close()

    def m999_bad(db):
        db.execute("create table half (x)")
        db.execute("create nonsense")

    monkeypatch.setattr("tokenrec.store.store.MIGRATIONS", [*MIGRATIONS, m999_bad])
    with pytest.raises(ServiceError):
        open_store(tmp_path / "s.db")
    monkeypatch.undo()
    assert "half" not in open_store(tmp_path / "s.db").table_names()


def test_a_newer_store_is_refused(tmp_path):
    db = open_store(tmp_path / "s.db")
    db.execute("insert into migrations values (999, 'm999', '')")
    db.conn.close()
    with pytest.raises(InputError, match="newer tokenrec"):
        open_store(tmp_path / "s.db")


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "s.db").write_text("milk, eggs, flour " * 100)
    with pytest.raises(InputError, match="no tokenrec store"):
        open_store(tmp_path / "s.db")
    assert (tmp_path / "s.db").read_text().startswith("milk")


@pytest.mark.parametrize("table", ["runs (x)", "migrations (id, migration, batch)"])
def test_another_programs_database_stays_as_it_is(tmp_path, table):
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute(f"create table {table}")
    connection.close()
    before = (tmp_path / "other.db").read_bytes()
    with pytest.raises(InputError, match="another program"):
        open_store(tmp_path / "other.db")
    assert (tmp_path / "other.db").read_bytes() == before


@contextmanager
def unprivileged(folder: Path):
    """As a user whom the modes of files bind: root writes everywhere.

    In this process, since Python's own files may be root's alone: no other user could start one.
    """
    if not hasattr(os, "geteuid"):
        pytest.skip("this system's folders have no modes")
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(NOBODY)
        os.listdir(folder)
    except OSError as error:
        if root:
            os.seteuid(0)
        pytest.skip(f"root can't act as another user here: {error}")
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_read_only_folder_is_named():
    with tempfile.TemporaryDirectory() as made:  # pytest's own folders are closed to other users
        folder = Path(made)
        (folder / "open").mkdir()
        (folder / "open").chmod(0o777)
        folder.chmod(0o555)
        with unprivileged(folder):
            open_store(folder / "open" / "s.db").conn.close()  # it is the folder that matters, nothing else
            with pytest.raises(ServiceError, match="s.db.*read-only"):
                open_store(folder / "s.db")
        folder.chmod(0o700)


def test_a_folder_or_file_in_the_way_is_named(tmp_path):
    with pytest.raises(ServiceError, match=str(tmp_path.name)):
        open_store(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceError, match="s.db"):
        open_store(tmp_path / "file" / "s.db")


@pytest.mark.parametrize("error", [KeyError("x"), KeyboardInterrupt()])
def test_a_transaction_is_all_or_nothing(error):
    db = open_store(":memory:")
    with pytest.raises(type(error)), transaction(db) as sql:
        sql.execute("insert into vectors values ('e', 'h', 1, x'00')")
        raise error
    assert db["vectors"].count == 0 and not db.conn.in_transaction
    with transaction(db) as sql:
        sql.execute("insert into vectors values ('e', 'h', 1, x'00')")
    assert db["vectors"].count == 1


def test_a_store_that_another_process_holds_is_a_service_error(tmp_path):
    db, other = open_store(tmp_path / "s.db"), sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    db.execute("pragma busy_timeout = 50")
    other.execute("begin immediate")
    with pytest.raises(ServiceError, match="locked"), transaction(db):
        pass


# -- completions and the view `tokens` --------------------------------------------------------------------


def fill(db, program="p1", states=(("rejected", "accepted", "accepted"), ("accepted",), ("rejected",)), gate="g1"):
    """Subjects s0, s1, ... with one sample a state."""
    store.save_program(db, "r", "t", program, "lm", "", {})
    prompts = [Prompt(f"s{i}", f"S {i}", {"n": i}, f"h{i}", None) for i in range(len(states))]
    store.save_subjects(db, "r", "t", "item", program, "lm", prompts)
    for prompt, kinds in zip(prompts, states, strict=True):
        keys = [Key(program, "lm", prompt.hash, n) for n in range(len(kinds))]
        store.insert_answers(db, "t", None, [(k, prompt.inputs, Answer(raw=f"{program}/{k.sample}")) for k in keys])
    judge(db, program, states, gate)


def judge(db, program, states, gate):
    by_hash = {f"h{i}": kinds for i, kinds in enumerate(states)}
    rows = [
        Judged(row.key.id, state, {"said": row.raw}, [Finding("noise/x", state == "accepted")],
               "check", None)
        for row in store.completions_of(db, "r", "t", program, "lm")
        for state in [by_hash[row.key.input_hash][row.key.sample]]
    ]
    save_verdicts(db, gate, rows)


def shown(db):
    return {s: o["said"] for s, o in store.tokens(db, "r", "t").items()}


def test_tokens_are_the_first_accepted_samples_of_the_current_program():
    db = open_store(":memory:")
    fill(db, "p1")
    assert shown(db) == {}
    store.set_current(db, "r", "t", "p1", "lm", "g1")
    assert shown(db) == {"s0": "p1/1", "s1": "p1/0"}
    fill(db, "p2", (("accepted",), ("rejected",), ("accepted",)))
    assert shown(db) == {"s0": "p1/1", "s1": "p1/0"}
    store.set_current(db, "r", "t", "p2", "lm", "g1")
    assert shown(db) == {"s0": "p2/0", "s2": "p2/0"} and store.current(db, "r", "t")["program_id"] == "p2"


def test_after_a_change_of_gates_nothing_stale_is_shown():
    db = open_store(":memory:")
    fill(db)
    store.set_current(db, "r", "t", "p1", "lm", "g2")
    assert shown(db) == {}
    judge(db, "p1", (("rejected", "rejected", "accepted"), ("rejected",), ("accepted",)), "g2")
    assert shown(db) == {"s0": "p1/2", "s2": "p1/0"}
    assert {r["gate_id"] for r in db["verdicts"].rows} == {"g2"}


def test_a_subject_that_left_the_data_or_has_other_inputs_shows_nothing():
    db = open_store(":memory:")
    fill(db)
    store.set_current(db, "r", "t", "p1", "lm", "g1")
    store.save_subjects(db, "r", "t", "item", "p1", "lm", [Prompt("s1", "S", {"n": 9}, "h9", None)])
    assert shown(db) == {}
    store.save_subjects(db, "r", "t", "item", "p1", "lm", [Prompt("twin", "S", {"n": 1}, "h1", None)])
    assert shown(db) == {"twin": "p1/0"}


def test_an_answer_that_is_there_stays():
    db = open_store(":memory:")
    store.save_program(db, "r", "t", "p", "lm", "", {})
    key = Key("p", "lm", "h", 0)
    for raw in ("first", "second"):
        store.insert_answers(db, "t", None, [(key, {}, Answer(raw=raw, usage=Usage(1, 2, 3, None)))])
    assert [(r["raw"], r["cost_usd"]) for r in db["completions"].rows] == [("first", None)]
    assert store.samples_of(db, "p", "lm", ["h"] * 1200) == {"h": {0: ("first", None)}}


def test_foreign_keys_hold():
    db = open_store(":memory:")
    fill(db)
    assert db.execute("pragma foreign_key_check").fetchall() == []
    for statement in (
        "insert into verdicts values ('nobody', 'g', 'x', 1, null, '', '', '', null)",
        "insert into current values ('r', 't2', 'nobody', 'lm', 'g')",
        "delete from programs",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            db.execute(statement)
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("update completions set state = 'good'")
    assert db.execute("pragma integrity_check").fetchone() == ("ok",)


def test_spend_without_calls_is_not_noted():
    db = open_store(":memory:")
    store.add_spend(db, "run", "t", "generate", "lm", Usage())
    store.add_spend(db, "run", "t", "generate", "lm", Usage(2, 10, 5, None))
    assert [(r["calls"], r["cost_usd"]) for r in db["spend"].rows] == [(2, None)]

"""kill -9 at random moments of generation, gating and features, again and again: nothing lost, nothing paid twice.

50 kills a session; TOKENREC_KILLS=1000 for more. Processes are forked, so that a kill costs no start.
"""

import os
import random
import signal
import sqlite3
import time

import pytest

from tests.end_to_end.server import serving
from tests.end_to_end.test_resume import IN_FLIGHT, made
from tests.end_to_end.worlds import contents, sound, store

KILLS = int(os.environ.get("TOKENREC_KILLS", "50"))
WRITTEN = ("programs", "subjects", "current", "completions", "verdicts", "tokens", "windows")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def write_all(recipe) -> None:
    """What `compile` does up to the features, without the ranking."""
    from tokenrec.compiler.record import start_run
    from tokenrec.compiler.session import make_columns, open_session
    from tokenrec.compiler.writing import write_task
    from tokenrec.dataset.types import FIT
    from tokenrec.recipe.load import load_recipe, task_order
    from tokenrec.store.lock import only_run

    loaded = load_recipe(recipe)
    with only_run(loaded.project.store, loaded.recipe.name):
        session = open_session(loaded, f"{time.time_ns()}")
        start_run(session)
        session.make_lists((FIT,))
        for name in task_order(session.recipe):
            written = write_task(session, name, lambda report: None)
            make_columns(name, written.vectors, session.dataset, session.lists[FIT])
        session.db.conn.close()


def forked(recipe) -> int:
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        write_all(recipe)
        code = 0
    finally:
        os._exit(code)


def ended(child: int, seconds: float) -> int | None:
    """The child's exit code, None when it still runs after `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def test_kills_at_random_moments(tmp_path, finished):
    draw, kills, rounds = random.Random(7), 0, 0
    with serving(delay=0.01) as served:
        recipe = made(tmp_path / "whole", served.url, finished)
        began = time.monotonic()
        assert ended(forked(recipe), 60) == 0
        whole, took = contents(tmp_path / "whole"), time.monotonic() - began
        asked_once = len(served.requests)
        assert len(whole["completions"]) == asked_once == 58
        while kills < KILLS:
            rounds += 1
            root = tmp_path / f"round{rounds}"
            recipe, before, killed = made(root, served.url, finished), len(served.requests), 0
            while True:
                child = forked(recipe)
                code = ended(child, draw.uniform(0.0, 0.8 * took))
                if code is not None:
                    break
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                killed += 1
                assert sound(store(root))
            kills += killed
            assert code == 0
            tables = contents(root)
            for table in WRITTEN:
                assert tables[table] == whole[table], (table, rounds)
            paid = len(served.requests) - before
            assert asked_once <= paid <= asked_once + killed * IN_FLIGHT
            statuses = [r[0] for r in store(root).execute("select status from runs order by started")]
            assert statuses[:-1] == ["killed"] * (len(statuses) - 1)


def test_a_second_run_of_the_recipe_is_refused(tmp_path, finished):
    from tests.end_to_end.worlds import tokenrec
    from tokenrec.store.lock import only_run

    with serving() as served:
        recipe = made(tmp_path, served.url, finished)
        with only_run(tmp_path / ".tokenrec/store.db", "small"):
            code, document, _ = tokenrec("compile", recipe)
        assert code == 4 and "another run of small" in document["message"] and not served.requests


def test_a_full_disk_stops_cleanly_and_the_next_run_goes_on(tmp_path, finished, monkeypatch):
    """SQLite says SQLITE_FULL at the page limit as it does at a full disk."""
    from tests.end_to_end.worlds import tokenrec
    from tokenrec.compiler import session as sessions

    opened = sessions.open_store
    with serving() as served:
        recipe = made(tmp_path, served.url, finished)

        def small(path):
            db = opened(path)
            pages = db.execute("pragma page_count").fetchone()[0]
            db.execute(f"pragma max_page_count = {pages + 12}")
            return db

        monkeypatch.setattr(sessions, "open_store", small)
        code, document, _ = tokenrec("compile", recipe)
        assert code == 4 and "full" in document["message"] and "run again" in document["message"]
        kept = store(tmp_path).execute("select count(*) from completions").fetchone()[0]
        assert sound(store(tmp_path)) and kept < 58
        monkeypatch.setattr(sessions, "open_store", opened)
        earlier = len(served.requests)
        code, document, said = tokenrec("compile", recipe)
        assert code == 0, said
        assert len(served.requests) - earlier == 58 - kept


def test_a_store_that_another_program_locks_is_told(tmp_path, finished, monkeypatch):
    from tests.end_to_end.worlds import tokenrec

    connect = sqlite3.connect
    with serving() as served:
        recipe = made(tmp_path, served.url, finished)
        other = connect(tmp_path / ".tokenrec/store.db", isolation_level=None)
        other.execute("begin immediate")
        monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **(k | {"timeout": 0.1})))
        code, document, _ = tokenrec("compile", recipe)
        other.close()
        assert code == 4 and "locked" in document["message"]
        code, _, said = tokenrec("compile", recipe)
        assert code == 0, said

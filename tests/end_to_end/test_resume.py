"""Killed, interrupted or out of budget: the next run goes on, and ends where one whole run would have."""

import json
import signal
import sys
import time

import pytest

from tests.end_to_end.server import serving
from tests.end_to_end.worlds import child, contents, lend_vectors, project, sound, store, tokenrec

IN_FLIGHT = 4


def made(root, url, finished):
    recipe = project(
        root, writer="served", models=f"{{kind: api, model: openai/small, api_base: '{url}'}}",
        more=f"concurrency: {IN_FLIGHT}\n",
    )  # fmt: skip
    lend_vectors(finished.root, root)
    return recipe


@pytest.fixture(scope="module")
def whole(tmp_path_factory, finished):
    """The store's tables after a run that nothing disturbed."""
    root = tmp_path_factory.mktemp("whole")
    with serving() as served:
        code, document, said = tokenrec("compile", made(root, served.url, finished))
    assert code == 0, said
    return contents(root), document


def when_answered(served, n: int, process) -> None:
    """Wait until `n` requests of the process were answered."""
    while len(served.done) < n:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def goes_on(root, recipe, served, whole) -> None:
    """Run to the end; the result is that of the whole run, and no answer that was stored was asked for again."""
    tables, document = whole
    stored = len(contents(root)["completions"])
    earlier = len(served.requests)
    code, after, said = tokenrec("compile", recipe)
    assert code == 0, said
    assert len(served.requests) - earlier == document["lm_calls"] - stored == after["lm_calls"]
    assert sound(store(root))
    for table, rows in contents(root).items():
        if table == "vectors":  # lent ones may differ
            continue
        assert rows == tables[table], table
    assert [a["value"] for a in after["arms"]] == [a["value"] for a in document["arms"]]


def test_kill_minus_nine_loses_only_what_was_in_flight(tmp_path, finished, whole):
    with serving(delay=0.1) as served:
        recipe = made(tmp_path, served.url, finished)
        for moment in (3, 20, 41):  # in the first, the second and the second task again
            process = child("compile", recipe)
            when_answered(served, moment, process)
            process.kill()
            process.communicate()
            time.sleep(0.3)  # the server finishes what was in flight
            assert sound(store(tmp_path))
            kept = store(tmp_path).execute("select count(*) from completions").fetchone()[0]
            assert kept >= len({t for t in served.texts()}) - IN_FLIGHT - 1
        served.delay = 0
        goes_on(tmp_path, recipe, served, whole)
        asked = served.texts()
    repeated = len(asked) - len(set(asked))
    assert repeated <= 3 * (IN_FLIGHT + 1)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one child there")
def test_control_c_ends_in_order(tmp_path, finished, whole):
    with serving(delay=0.1) as served:
        recipe = made(tmp_path, served.url, finished)
        process = child("compile", recipe)
        when_answered(served, 10, process)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=60)
        assert process.returncode == 3, said
        assert "Traceback" not in said and "run the same command again" in said
        assert json.loads(out)["exit_code"] == 3
        assert store(tmp_path).execute("select status from runs").fetchone()[0] == "stopped"
        served.delay = 0
        goes_on(tmp_path, recipe, served, whole)


def test_a_budget_stops_and_the_next_run_goes_on(tmp_path, finished, whole):
    with serving() as served:
        recipe = made(tmp_path, served.url, finished)
        code, document, said = tokenrec("compile", recipe, "--calls", "5")
        assert code == 3 and "calls 5" in document["message"] and "Traceback" not in said
        assert len(served.requests) == 5 == len(contents(tmp_path)["completions"])
        goes_on(tmp_path, recipe, served, whole)

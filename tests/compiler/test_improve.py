"""When a task's prompt is searched, when not, and that a finished search is not run twice. No LM is asked."""

import contextlib
from types import SimpleNamespace

import pytest

from tests.tasks.test_program import Chooser
from tests.tasks.worlds import dataset, flavour, history, line, palate, recipe, writer
from tokenrec.compiler import improve as improving
from tokenrec.compiler.search import Proposal, Search
from tokenrec.compiler.session import Session
from tokenrec.compiler.writing import Written
from tokenrec.dataset.types import TUNE_A
from tokenrec.errors import BudgetStop
from tokenrec.generate.run import Report
from tokenrec.lm.meter import Meter, Usage
from tokenrec.recipe.models import Budget, Compile
from tokenrec.store.store import open_store
from tokenrec.tasks.program import make_program, program_id
from tokenrec.tasks.spec import task_spec


class Stages:
    """The progress display, without a terminal."""

    @contextlib.contextmanager
    def stage(self, *_):
        yield SimpleNamespace(count=lambda *a: None, step=lambda: None, generation=lambda r: None)


@pytest.fixture
def searched(monkeypatch):
    """Stands in for the search: notes each call, spends two LM calls, finds what it is told to."""
    found = SimpleNamespace(calls=[], result=Search([], 0.6, 100, ""))

    def search(session, spec, program, prompts, vectors, judge, meter, progress, options, search_id, met):
        found.calls.append(spec.name)
        meter.add(Usage(2, 20, 4, 0.0))
        return found.result

    monkeypatch.setattr(improving, "search", search)
    return found


def world(made=None, lists=500, **at):
    made = made or recipe(flavour=flavour(), palate=palate())
    session = Session(
        SimpleNamespace(recipe=made), dataset(6, history()), open_store(":memory:"), "run",
        SimpleNamespace(encoder_id="e@1"), Meter(), {made.lm.writer: writer(chooser=Chooser(), **at)}, lists={TUNE_A: range(lists)},
    )  # fmt: skip
    written = {}
    for name in made.tasks:
        spec = task_spec(made, name)
        program = make_program(spec, session.open_writer())
        pid = program_id(spec, program, session.open_writer())
        written[name] = Written(spec, program, pid, pid, SimpleNamespace(gate_id="g@1", settle_id=""), [], Report(name), [])
    return session, written


def improve(session, written, name="flavour", **more):
    return improving.improve(session, written, name, Stages(), **more)


def test_a_finished_search_is_not_run_twice(searched):
    session, written = world()
    first = improve(session, written)
    assert searched.calls == ["flavour"] and first.incumbent_score == 0.6 and "no candidate" in first.note
    assert session.meter.used.calls == 2
    again = improve(session, written)
    assert searched.calls == ["flavour"] and again.note.startswith("searched before") and "no candidate" in again.note


@pytest.mark.parametrize("change", ["data", "options", "lm", "encoder", "task", "gates", "other task", "objective", "search"])
def test_a_search_is_run_again_when_what_it_rests_on_has_changed(searched, change, monkeypatch):
    session, written = world()
    improve(session, written)
    made = session.recipe
    if change == "data":
        object.__setattr__(session.dataset, "data_hash", "other")
    if change == "options":
        made = made.model_copy(update={"compile": made.compile.model_copy(update={"candidates": 9})})
    if change == "objective":
        made = made.model_copy(update={"objective": made.objective.model_copy(update={"metric": "mrr@5"})})
    if change == "lm":
        session.open_writer().lm_id = "other/lm"
    if change == "encoder":
        session.encoder.encoder_id = "e@2"
    if change == "task":
        written["flavour"].program_id = "other"
    if change == "gates":
        written["flavour"].judge.gate_id = "g@2"
    if change == "search":
        monkeypatch.setattr(improving, "SEARCH_VERSION", 0)
    if change == "other task":
        written["palate"].source_id = "other"
    session.loaded.recipe = made
    improve(session, written)
    assert searched.calls == ["flavour"] * 2


def test_an_unfinished_search_is_run_again(searched):
    searched.result = Search([], note="gepa failed: LMError", finished=False)
    session, written = world()
    assert "gepa failed" in improve(session, written).note
    improve(session, written)
    assert searched.calls == ["flavour"] * 2 and session.db["searches"].count == 0


def test_a_search_that_its_own_budget_stopped_is_done_and_one_that_the_runs_stopped_goes_on(searched):
    searched.result = Search([], note="the search stopped early: budget reached", spent=True)
    session, written = world()
    assert "stopped early" in improve(session, written).note
    assert "searched before" in improve(session, written).note and searched.calls == ["flavour"]
    session, written = world()
    session.meter.budget = Budget(calls=2)
    with pytest.raises(BudgetStop):
        improve(session, written)
    assert session.db["searches"].count == 0


def test_worse_programs_are_no_finalists(searched, monkeypatch):
    session, written = world()
    monkeypatch.setattr(improving, "_finals", lambda *a: pytest.fail("nothing to test for promotion"))
    other = make_program(written["flavour"].spec, session.open_writer())
    other.choose.signature = other.choose.signature.with_instructions("Another.")
    searched.result = Search([Proposal(other, 0.6), Proposal(other, 0.5)], 0.6, 100)
    assert "no candidate scored above" in improve(session, written).note


def test_few_lists_and_recordings_are_not_searched_and_users_and_modules_are(searched):
    session, written = world(lists=399)
    assert "399 tune-A lists are too few" in improve(session, written).note
    improve(session, written, force=True)
    assert searched.calls == ["flavour"]
    session, written = world(replay="said.jsonl")
    assert "recorded" in improve(session, written).note
    session, written = world()
    improve(session, written, "palate")
    made = recipe(digest=line(write=None, use="digest.KeySentences"))
    session, written = world(made)
    assert "other questions" in improve(session, written, "digest").note
    made = recipe(asked=line(**{"for": "set", "inputs": []}))
    assert "0 people to choose a prompt on" in improve(*world(made), "asked").note
    improve(session, written, "digest", options=Compile(optimizer="gepa"))
    assert searched.calls == ["flavour", "palate", "digest"]

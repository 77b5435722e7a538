"""A better prompt takes the incumbent's place, a worse one does not, and every look is counted."""

import dataclasses

import pytest

from tests.compiler.worlds import QUIET, Taster, session, truth, written
from tokenrec.compiler import improve as module
from tokenrec.compiler.improve import improve
from tokenrec.compiler.promotion import count_look
from tokenrec.compiler.search import Proposal, Search
from tokenrec.compiler.writing import program_vectors
from tokenrec.store import completions as store


def propose(task, instructions):
    """A search that proposes the task's program with another instruction."""
    program = task.program.deepcopy()
    program.choose.signature = program.choose.signature.with_instructions(instructions)
    return lambda *_: Search([Proposal(program, 0.9)], 0.5, 30, "", challengers=1)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """First a prompt that is as bad as the incumbent, then one that knows the truth."""
    made = session(tmp_path_factory.mktemp("promotion"), users=250, n_dishes=120, each=4, taster=Taster(luck=0))
    tasks = written(made)
    before = dict(store.current(made.db, "tasty", "flavour"))
    results = []
    with pytest.MonkeyPatch.context() as patch:
        for instructions in ("Guess again.", "Guess well."):
            patch.setattr(module, "search", propose(tasks["flavour"], instructions))
            made.db.execute("delete from searches")
            results.append(improve(made, tasks, "flavour", QUIET, force=True))
            if len(results) == 1:
                between = dict(store.current(made.db, "tasty", "flavour"))
    return made, tasks, before, between, results


def test_a_prompt_that_is_no_better_changes_nothing(outcome):
    made, tasks, before, between, (same, _) = outcome
    assert same.promotion is None and "no better on tune-A" in same.note and "no look" in same.note
    assert before == between


def test_a_better_prompt_is_promoted_and_its_texts_are_the_tokens(outcome):
    made, tasks, before, _, (_, better) = outcome
    test, task = better.promotion, tasks["flavour"]
    assert test.promoted and test.delta > 0 and test.low > 0 and test.p < test.alpha and "promoted" in better.note
    now = store.current(made.db, "tasty", "flavour")
    assert now["program_id"] == test.challenger == task.program_id != before["program_id"] == test.incumbent
    tokens = store.tokens(made.db, "tasty", "flavour")
    named = dict(zip(made.dataset.item_ids, (i["name"] for i in made.dataset.items), strict=True))
    choices = task.spec.choices["taste"]
    assert len(tokens) == len(named)
    assert all(choices.index(t["taste"]) == truth(named[s]) for s, t in tokens.items())
    again = program_vectors(made, task.spec, task.program, task.report)
    assert (again[0].matrix == task.vectors[0].matrix).all()


def test_looks_at_tune_b_are_counted_and_dearer_each_time(outcome):
    made, _, _, _, (_, better) = outcome
    assert (better.promotion.look, better.promotion.alpha) == (1, 0.025)
    assert count_look(made, "tune_b", "flavour") == 2 and count_look(made, "tune_b", "other") == 3
    assert count_look(made, "test") == 1
    # another text column makes another data hash, and no fresh tune-B
    made.dataset = dataclasses.replace(made.dataset, data_hash="other")
    assert count_look(made, "tune_b", "flavour") == 4
    row = next(made.db["promotions"].rows)
    assert (row["promoted"], row["look"], row["challengers"]) == (1, 1, 1)
    assert made.db.execute("select count(*) from promotions").fetchone()[0] == 1

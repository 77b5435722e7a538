"""DSPy's optimiser on completion scores: inside the budget, best first, and deaf to the windows that decide."""

import numpy as np
import pytest

from tests.compiler.worlds import Taster, session, written
from tokenrec.compiler.search import search
from tokenrec.recipe.models import Budget
from tokenrec.tasks.program import program_id


def run(made, budget=240):
    task = written(made)["flavour"]
    meter = made.meter.child(Budget(calls=budget))
    found = search(made, task.spec, task.program, task.prompts, task.vectors, task.judge, meter, lambda *_: None)
    return task, meter, found


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A model that is good when it is shown at least three examples: the recipe has two."""
    taster = Taster(lambda state: len(state.get("demos", [])) >= 3)
    made = session(tmp_path_factory.mktemp("search"), taster=taster)
    before = made.meter.used.calls, taster.calls
    return made, taster, before, *run(made)


def test_demonstrations_that_help_are_found(found):
    made, taster, before, task, meter, result = found
    assert result.note == "" and result.examples >= 20
    scores = [p.score for p in result.proposals]
    assert scores == sorted(scores, reverse=True) and len(scores) == 3
    assert scores[0] > result.incumbent + 0.05
    best = result.proposals[0].program
    assert program_id(task.spec, best, made.writer) != task.program_id
    assert len(best.choose.demos) >= 3


def test_every_call_is_counted_and_the_budget_holds(found):
    made, taster, before, task, meter, result = found
    written_calls = len(task.prompts)
    assert meter.used.calls == taster.calls - before[1] - written_calls <= 240
    assert made.meter.used.calls == before[0] + written_calls + meter.used.calls
    assert made.writer.meter is made.meter


def test_a_budget_that_ends_says_so(tmp_path):
    made = session(tmp_path)
    task, meter, result = run(made, budget=40)
    assert result.proposals == [] and "budget reached: calls 40" in result.note
    assert meter.used.calls == 40 and made.writer.meter is made.meter


def test_an_incumbent_that_wrote_nothing_is_not_searched(tmp_path):
    made = session(tmp_path, users=40)
    task = written(made)["flavour"]
    for v in task.vectors:
        v.matrix[:] = np.nan
    meter = made.meter.child(Budget(calls=10))
    found = search(made, task.spec, task.program, task.prompts, task.vectors, task.judge, meter, lambda *_: None)
    assert found.proposals == [] and "nothing that was accepted" in found.note and meter.used.calls == 0


def test_training_items_without_tokens_are_no_crash(tmp_path):
    made = session(tmp_path)
    task = written(made)["flavour"]
    made.db.execute("update completions set state = 'rejected'")
    meter = made.meter.child(Budget(calls=240))
    found = search(made, task.spec, task.program, task.prompts, task.vectors, task.judge, meter, lambda *_: None)
    assert found.proposals == [] and found.note

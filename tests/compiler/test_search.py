"""DSPy's optimiser on completion scores: inside the budget, best first, and deaf to the windows that decide."""

import numpy as np
import pytest

from tests.compiler.worlds import Taster, session, written
from tokenrec.compiler.search import search
from tokenrec.compiler.writing import generate_with
from tokenrec.recipe.models import Budget, Compile
from tokenrec.tasks.program import program_id, program_state


def run(made, budget=240, **options):
    task = written(made)["flavour"]
    options = Compile(**{"optimizer": "bootstrap_random", "budget": Budget(calls=budget), **options})
    meter = made.meter.child(options.budget)
    found = search(
        made, task.spec, task.program, task.prompts, task.vectors, task.judge, meter, lambda *_: None, options, "s-1"
    )
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
    assert program_id(task.spec, best, made.open_writer()) != task.program_id
    assert len(best.choose.demos) >= 3


def test_every_call_is_counted_and_the_budget_holds(found):
    made, taster, before, task, meter, result = found
    written_calls = len(task.prompts)
    assert meter.used.calls == taster.calls - before[1] - written_calls <= 240
    assert made.meter.used.calls == before[0] + written_calls + meter.used.calls
    assert made.open_writer().meter is made.meter
    assert [(r["purpose"], r["calls"]) for r in made.db["spend"].rows][1:] == [("search", meter.used.calls)]


def test_what_a_search_asked_is_stored_and_the_finalist_is_not_asked_it_again(found):
    made, taster, before, task, meter, result = found
    kept = made.db.execute("select count(*) from completions where program_id <> ?", [task.program_id]).fetchone()[0]
    assert kept == meter.used.calls
    asked = taster.calls
    report = generate_with(made, task.spec, result.proposals[0].program, task.judge, task.prompts, lambda r: None, False)
    assert taster.calls - asked == report.asked == len(task.prompts) - result.examples


def test_a_budget_that_ends_keeps_the_best_so_far_and_says_so(tmp_path):
    made = session(tmp_path)
    task, meter, result = run(made, budget=40, candidates=1)
    assert len(result.proposals) == 1 and not result.spent and meter.used.calls <= 40
    task, meter, result = run(session(tmp_path / "b"), budget=80, candidates=3, optimizer="bootstrap_random")
    assert result.examples == 26 and meter.used.calls == 78
    made = session(tmp_path / "c")
    made.meter.budget = Budget(calls=90 + 40)  # the run's own limit, in the middle of the second program
    task, meter, result = run(made, budget=80)
    assert len(result.proposals) == 1 and result.spent and "budget reached: calls" in result.note
    assert made.meter.used.calls == 130 and made.open_writer().meter is made.meter


def test_a_search_that_was_cut_off_asks_nothing_twice_and_ends_alike(tmp_path):
    """The second run meets the first one's answers in the store, and the first one's calls in its budget."""

    class Killed(BaseException):
        pass

    class Mortal(Taster):
        def __call__(self, state, questions):
            if self.calls == 150:
                raise Killed
            return super().__call__(state, questions)

    whole = session(tmp_path / "whole")
    _, meter, wanted = run(whole, budget=110)
    mortal = Mortal()
    cut = session(tmp_path / "cut", taster=mortal)
    with pytest.raises(Killed):
        run(cut, budget=110)
    assert mortal.calls == 150
    mortal.__class__ = Taster
    _, again, result = run(cut, budget=110)
    assert mortal.calls == 90 + meter.used.calls == 90 + again.used.calls
    assert [p.score for p in result.proposals] == [p.score for p in wanted.proposals]
    assert [program_state(p.program) for p in result.proposals] == [program_state(p.program) for p in wanted.proposals]


def test_an_incumbent_that_wrote_nothing_is_not_searched(tmp_path):
    made = session(tmp_path, users=40)
    task = written(made)["flavour"]
    for v in task.vectors:
        v.matrix[:] = np.nan
    meter = made.meter.child(Budget(calls=10))
    found = search(made, task.spec, task.program, task.prompts, task.vectors, task.judge, meter, lambda *_: None)
    assert not found.finished
    assert found.proposals == [] and "nothing that was accepted" in found.note and meter.used.calls == 0


def test_training_items_without_tokens_are_no_crash(tmp_path):
    made = session(tmp_path)
    task = written(made)["flavour"]
    made.db.execute("update completions set state = 'rejected'")
    meter = made.meter.child(Budget(calls=240))
    found = search(made, task.spec, task.program, task.prompts, task.vectors, task.judge, meter, lambda *_: None)
    assert not found.finished
    assert found.proposals == [] and found.note

"""Limits stop before the next call, and everything is counted."""

import pytest

from tokenrec.config import Api, LoadedProject, Price, Project
from tokenrec.errors import BudgetStop, InputError
from tokenrec.lm.meter import Meter, Usage
from tokenrec.lm.writer import Writer, open_writer
from tokenrec.recipe.models import Budget


@pytest.mark.parametrize("limit", [{"calls": 2}, {"lm_tokens": 24}, {"usd": 0.4}], ids=["calls", "lm_tokens", "usd"])
def test_a_limit_stops_the_next_call(limit):
    meter = Meter(Budget(**limit))
    for _ in range(2):
        meter.check()
        meter.add(Usage(1, 10, 2, 0.2))
    with pytest.raises(BudgetStop, match=next(iter(limit))) as stop:
        meter.check()
    assert stop.value.exit_code == 3


def test_minutes_pass(monkeypatch):
    meter = Meter(Budget(minutes=1))
    meter.check()
    meter.started -= 61
    with pytest.raises(BudgetStop, match="minutes"):
        meter.check()


def test_a_child_counts_on_its_parent_and_obeys_both():
    parent = Meter(Budget(calls=3))
    parent.add(Usage(1, 5, 1, 0.0))
    child = parent.child(Budget(calls=10))
    child.add(Usage(1, 5, 1, 0.0))
    child.check()
    child.add(Usage(1, 5, 1, 0.0))
    assert (parent.used.calls, child.used.calls, parent.used.prompt_tokens) == (3, 2, 15)
    with pytest.raises(BudgetStop, match="calls 3"):
        child.check()
    tight = Meter().child(Budget(calls=1))
    tight.add(Usage(1))
    with pytest.raises(BudgetStop, match="calls 1"):
        tight.check()
    tight.parent.check()


def test_an_unknown_price_makes_the_cost_unknown():
    total = Usage(1, 10, 2, 0.5)
    total.add(Usage(1, 10, 2, None))
    total.add(Usage(1, 10, 2, 0.5))
    assert total == Usage(3, 30, 6, None)


def test_money_is_not_spent_uncounted():
    """A limit in dollars on a model without a price would never be reached."""
    meter = Meter(Budget(usd=1))
    meter.check()
    meter.add(Usage(1, 10, 2, None))
    with pytest.raises(InputError, match="price"):
        meter.check()
    project = LoadedProject(Project(models={"big": Api(kind="api", model="openai/gpt", api_base="http://h/v1")}), None)
    with pytest.raises(InputError, match="big.*price"):
        open_writer(project, "big", Meter(Budget(usd=1)))


def test_usage_entries_are_priced():
    entry = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 600}}
    priced = Writer("m", "m", None, None, price=Price(input=2, cached_input=1, output=10))
    assert priced.usage(entry) == Usage(1, 1000, 100, (400 * 2 + 600 * 1 + 100 * 10) / 1e6)
    assert Writer("m", "m", None, None).usage(entry).usd is None
    assert Writer("m", "m", None, None, free=True).usage(entry).usd == 0

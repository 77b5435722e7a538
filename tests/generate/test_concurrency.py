"""Several requests in flight: limits hold, and what was paid for is kept."""

import asyncio

import pytest

from tests.generate import scripted
from tests.generate.scripted import AsyncScript, World, good
from tokenrec.errors import BudgetStop, ServiceError
from tokenrec.lm.meter import Meter
from tokenrec.recipe.models import Budget


class SlowScript(AsyncScript):
    """Answers come later, and the later asked ones sooner, as over a network."""

    flying = most = 0

    async def complete(self, request):
        SlowScript.flying += 1
        SlowScript.most = max(SlowScript.most, SlowScript.flying)
        try:
            await asyncio.sleep(0.002 * (10 - SlowScript.flying))
            return self.script.complete(request)
        finally:
            SlowScript.flying -= 1


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(scripted, "AsyncScript", SlowScript)
    SlowScript.flying = SlowScript.most = 0


def stored(world):
    return world.db.execute("select count(*) from completions").fetchone()[0]


def test_requests_overlap_and_each_is_made_once(slow):
    world = World(n=12)
    world.concurrency = 4
    report = world.run()
    assert SlowScript.most == 4 and report.accepted == 12
    assert sorted(world.script.asked) == list(range(12))


@pytest.mark.parametrize("limit", [1, 5, 9])
def test_a_limit_on_calls_holds_and_answers_in_flight_are_kept(slow, limit):
    world = World(n=12)
    world.concurrency = 4
    with pytest.raises(BudgetStop):
        world.run(Meter(Budget(calls=limit)))
    asked = set(world.script.asked)
    assert len(world.script.asked) == limit == stored(world)
    report = world.run()
    assert report.asked == 12 - limit and not asked & set(world.script.asked) and report.accepted == 12


def test_a_service_that_goes_away_loses_no_answer_in_flight(slow):
    def answer(plant, k):
        if plant > 2:
            raise RuntimeError("gone")
        return good(plant)

    world = World(answer, n=40)
    world.concurrency = 4
    with pytest.raises(ServiceError, match="gone"):
        world.run()
    assert stored(world) == 3 and len(world.script.asked) < 20

"""List prices: the recipe's own first, then the table that DSPy carries, else unknown."""

import pytest

from tokenrec.config import Api, LoadedProject, Price, Project
from tokenrec.errors import InputError
from tokenrec.lm.meter import Meter
from tokenrec.lm.prices import cached_share, price_of
from tokenrec.lm.writer import open_writer
from tokenrec.recipe.models import Budget


def api(model, **more):
    return Api(kind="api", model=model, **more)


def test_a_known_model_has_its_list_price_and_a_written_one_goes_first():
    assert price_of(api("openai/gpt-4o-mini")) == Price(input=0.15, cached_input=0.075, output=0.6)
    own = Price(input=1, output=2)
    assert price_of(api("openai/gpt-4o-mini", price=own)) == own


@pytest.mark.parametrize("config", [api("openai/no-such-model"), api("openai/gpt-4o-mini", api_base="http://127.0.0.1:9/v1")])
def test_an_unknown_price_is_none(config):
    assert price_of(config) is None


def test_cached_input_costs_its_own_price(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "sk-x")
    models = {"mini": {"kind": "api", "model": "openai/gpt-4o-mini", "api_key_env": "SOME_KEY"}}
    writer = open_writer(LoadedProject(Project(models=models), "."), "mini", Meter(budget=Budget(usd=1)))
    used = {"prompt_tokens": 1_000_000, "completion_tokens": 1_000_000, "prompt_tokens_details": {"cached_tokens": 400_000}}
    assert writer.usage(used).usd == pytest.approx(0.6 * 0.15 + 0.4 * 0.075 + 0.6)


def test_a_budget_in_money_wants_a_price():
    models = {"own": {"kind": "api", "model": "openai/small", "api_base": "http://127.0.0.1:9/v1"}}
    with pytest.raises(InputError, match="price"):
        open_writer(LoadedProject(Project(models=models), "."), "own", Meter(budget=Budget(usd=1)))


AT = Price(input=2, cached_input=0.5, output=8)


def cost(prompt, completion, cached=0, at=AT):
    return prompt, completion, ((prompt - cached) * at.input + cached * (at.cached_input or 0) + completion * at.output) / 1e6


def test_the_cached_share_is_what_costs_are_below_the_list_price():
    paid = [cost(1000, 30), cost(1000, 12, cached=512), cost(2000, 50, cached=768), cost(777, 1)]
    assert cached_share(AT, paid) == pytest.approx(1280 / 4777)
    assert cached_share(AT, paid[:1]) == 0
    assert cached_share(price_of(api("openai/gpt-4o-mini")), [(1234, 56, (1234 * 0.15 + 56 * 0.6) / 1e6)]) == 0


@pytest.mark.parametrize("paid", [
    [], [(0, 0, 0.0)], [cost(1000, 30), (1000, 30, None)],
    [cost(1000, 30, cached=512), cost(1000, 30)],  # the first was cached, or the price was a lower one
    [cost(1000, 30, at=Price(input=1, output=8)), cost(1000, 30)],
    [cost(1000, 30, at=Price(input=2, output=6)), cost(1000, 30)],
    [cost(1000, 30), cost(1000, 30, at=Price(input=2, output=9))],
    [cost(1000, 30), cost(1000, 30, at=Price(input=0.1, output=8))],
])  # fmt: skip
def test_costs_that_are_unknown_or_of_another_price_say_nothing(paid):
    assert cached_share(AT, paid) is None


def test_without_a_price_of_cached_input_nothing_is_cached():
    assert cached_share(Price(input=2, output=8), [cost(1000, 30)]) is None
    assert cached_share(Price(input=2, cached_input=2, output=8), [cost(1000, 30)]) is None

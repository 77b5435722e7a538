"""List prices: the recipe's own first, then the table that DSPy carries, else unknown."""

import pytest

from tokenrec.config import Api, LoadedProject, Price, Project
from tokenrec.errors import InputError
from tokenrec.lm.meter import Meter
from tokenrec.lm.prices import price_of
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

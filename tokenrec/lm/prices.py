"""List prices of known models, from the table that DSPy carries.

`price:` under the model in tokenrec.yaml goes first. The table is of DSPy's release;
LITELLM_LOCAL_MODEL_COST_MAP=False fetches today's, LITELLM_MODEL_COST_MAP_URL says from where.
"""

from collections.abc import Sequence

from tokenrec.config import Api, Price

EXACT = 0.01  # LM tokens that a cost may be off by, for rounding


def price_of(config: Api) -> Price | None:
    """US dollars per million LM tokens; None where nobody knows, above all for a server of one's own."""
    if config.price:
        return config.price
    if config.api_base:
        return None
    from dspy.clients.model_metadata import model_info, rate

    provider, _, model = config.model.partition("/")
    info = model_info(provider, model)
    into, out = rate(info, "input_cost_per_token"), rate(info, "output_cost_per_token")
    if into is None or out is None:
        return None
    cached = rate(info, "cache_read_input_token_cost")
    per = 1e6
    return Price(input=into * per, output=out * per, cached_input=None if cached is None else cached * per)


def has_cache(price: Price | None) -> bool:
    """Whether a prompt that the provider still has in its cache costs less."""
    return price is not None and price.cached_input is not None and price.cached_input < price.input


def cached_share(price: Price, paid: Sequence[tuple[int, int, float | None]]) -> float | None:
    """Share of the prompt LM tokens of stored answers that came from the provider's cache.

    `paid`: (prompt tokens, completion tokens, dollars), the earliest first. How many were cached is not stored: it is
    what a cost is below the list price. None where that can't be told, above all when prices have changed since: the
    earliest answer, which no cache knew yet, has to have cost what it would today, and none more or too little.
    """
    if not has_cache(price) or any(usd is None for *_, usd in paid):
        return None
    saved = price.input - price.cached_input
    cached = [(p * price.input + c * price.output - usd * 1e6) / saved for p, c, usd in paid]
    total = sum(prompt for prompt, *_ in paid)
    if not total or abs(cached[0]) > EXACT:
        return None
    if any(not -EXACT <= n <= prompt + EXACT for n, (prompt, *_) in zip(cached, paid, strict=True)):
        return None
    return min(max(sum(cached) / total, 0.0), 1.0)

"""List prices of known models, from the table that DSPy carries.

`price:` under the model in tokenrec.yaml goes first. The table is of DSPy's release;
LITELLM_LOCAL_MODEL_COST_MAP=False fetches today's, LITELLM_MODEL_COST_MAP_URL says from where.
"""

from tokenrec.config import Api, Price


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

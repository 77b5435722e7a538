"""Models behind an API, on our own wire: DSPy's codecs (lm15) make the requests and read the answers."""

import asyncio
from typing import Any

import dspy
from dspy.clients.capabilities import capabilities
from dspy.clients.engines.lm15_engine import AsyncLM15Engine
from dspy.lm15 import LM15Error, RouterConfig

from tokenrec.config import Api
from tokenrec.lm.meter import attempts, note_end
from tokenrec.lm.wire import Wire


class AsyncApiEngine(AsyncLM15Engine):
    """DSPy's native engine, with what it says of itself copied from the model as DSPy knows it."""

    def __init__(self, model: str, wire: Wire, config: RouterConfig, known):
        super().__init__(config)
        self.model, self.wire = model, wire
        self.supports_response_schema = known.response_schema
        self.supports_reasoning = known.reasoning
        self.supports_function_calling = known.function_calling
        self.supported_params = tuple(sorted(known.params))

    async def complete(self, request):
        response = await super().complete(request)
        note_end(response.finish_reason)
        return response


class ApiEngine:
    """The same without asyncio, for DSPy's optimisers: one request at a time, on a loop of its own."""

    def __init__(self, engine: AsyncApiEngine):
        self.engine = engine
        self.supports_response_schema = engine.supports_response_schema
        self.supports_reasoning = engine.supports_reasoning
        self.supports_function_calling = engine.supports_function_calling
        self.supported_params = engine.supported_params

    def complete(self, request):
        wire, count = self.engine.wire, [0]

        async def once():
            token = attempts.set(count)
            try:
                return await self.engine.complete(request)
            finally:
                attempts.reset(token)
                await wire.aclose()

        try:
            return asyncio.run(once())
        finally:
            wire.meter.in_flight -= count[0]
            wire.retries += max(0, count[0] - 1)  # DSPy's usage entries know of one request only

    def close(self):
        pass


def open_lm(config: Api, wire: Wire, key: str | None, settings: dict[str, Any]) -> "dspy.LM | None":
    """`config`'s model on `wire`; None where only LiteLLM knows the provider (and sends by itself)."""
    model = config.model
    try:
        provider = AsyncLM15Engine(RouterConfig(env={})).resolve(model).provider
    except LM15Error:
        if not config.api_base:
            return None
        model = "openai/" + model.partition("/")[2]  # whatever it is called, it speaks like OpenAI's
        provider = AsyncLM15Engine(RouterConfig(env={})).resolve(model).provider
    router = RouterConfig(
        env={}, transport=wire, api_keys={provider: key or "none"},
        base_urls={provider: config.api_base} if config.api_base else None,
    )  # fmt: skip
    engine = AsyncApiEngine(model, wire, router, capabilities(dspy.LM(model, cache=False, api_key=key or "none")))
    return dspy.LM(
        model, engine=ApiEngine(engine), async_engine=engine, cache=False, num_retries=0,
        **settings,
    )  # fmt: skip

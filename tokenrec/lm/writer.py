"""A writer: one language model as a run uses it, whatever answers behind it."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenrec.config import Api, Embedded, LoadedProject, Price, Replay, resolve_model
from tokenrec.errors import InputError
from tokenrec.lm.meter import UNPRICED, Meter, Usage


@dataclass
class Writer:
    """What tasks need of a model. `chooser` answers closed questions by likelihood, where it can.

    `lm_id` names the model in completion keys; it holds no machine path. Copies share the model.
    """

    name: str
    lm_id: str
    lm: Any  # dspy.LM; None for replay
    adapter: Any
    chooser: Any = None
    at_once: int | None = None  # requests that it bears at a time; None: the project's `concurrency`
    grammar: bool = False  # patterns in a response schema are obeyed
    price: Price | None = None
    free: bool = False
    replay: Path | None = None
    meter: Meter = field(default_factory=Meter)
    secret: str | None = field(default=None, repr=False)
    wire: Any = None  # lm.wire.Wire, where requests go through ours

    def redact(self, text: str) -> str:
        """`text` without the key: servers quote it in their errors, which are stored and shown."""
        return text.replace(self.secret, "[key]") if self.secret else text

    def __deepcopy__(self, memo):
        return self

    def usage(self, entry: dict) -> Usage:
        """Counts and cost of DSPy's usage entry of one or more requests."""
        prompt, completion = entry.get("prompt_tokens") or 0, entry.get("completion_tokens") or 0
        cached = (entry.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        usd = 0.0 if self.free else None
        if self.price:
            at = self.price
            cached_rate = at.input if at.cached_input is None else at.cached_input
            usd = ((prompt - cached) * at.input + cached * cached_rate + completion * at.output) / 1e6
        return Usage(entry.get("calls") or 1, prompt, completion, usd)


def open_writer(project: LoadedProject, name: str, meter: Meter | None = None, asking: bool = True) -> Writer:
    """Open the model that a recipe's `lm:` names. Raises InputError when it can't be used.

    With `asking=False` it is only named: programs can be made for it and nothing can be asked of it, so that no
    weights are loaded and no key is needed.
    """
    config = resolve_model(project, name)
    meter = meter or Meter()
    if isinstance(config, Embedded):
        return _embedded(name, config, meter, asking)
    if isinstance(config, Replay):
        path = Path(config.path)
        from tokenrec.lm.replay import replay_id

        return Writer(name, replay_id(path), None, None, replay=path, free=True, meter=meter)
    if isinstance(config, Api):
        return _api(name, config, meter, project.project.concurrency, asking)
    raise InputError(f'"{name}" is an encoder and can\'t write. name a model of kind embedded, api or replay')


def _embedded(name: str, config: Embedded, meter: Meter, asking: bool) -> Writer:
    import dspy

    from tokenrec.lm import plain
    from tokenrec.lm.embedded import AsyncEmbeddedEngine, EmbeddedChooser, EmbeddedEngine
    from tokenrec.lm.llama import bundled_weights, copies, load

    path = Path(config.path) if config.path else bundled_weights()
    llama = load(str(path), config.context, config.threads) if asking else None
    more = copies(str(path), config.context, config.threads)
    lm_id = f"embedded/{path.stem}@{path.stat().st_size}"
    engine = EmbeddedEngine(llama, lm_id)
    lm = dspy.LM(lm_id, engine=engine, async_engine=AsyncEmbeddedEngine(engine, more), cache=False, temperature=0.0)
    return Writer(
        name, lm_id, lm, plain.make_adapter(), chooser=EmbeddedChooser(llama, lm_id, more),
        at_once=more.most if more else 1, grammar=True, free=True, meter=meter,
    )  # fmt: skip


def _api(name: str, config: Api, meter: Meter, concurrency: int, asking: bool) -> Writer:
    import dspy

    from tokenrec.lm.api import open_lm
    from tokenrec.lm.prices import price_of
    from tokenrec.lm.wire import Wire

    key = None
    if config.api_key_env:
        key = os.environ.get(config.api_key_env)
        if not key and asking:
            raise InputError(
                f"{name} needs a key: set the environment variable {config.api_key_env}, or use `embedded`"
            )
    free, price = config.model.startswith("ollama"), price_of(config)
    if meter.budget.usd is not None and not (price or free):
        raise InputError(f"{name}: {UNPRICED}")
    made = Writer(name, config.model, None, dspy.JSONAdapter(), price=price, free=free, meter=meter, secret=key)
    settings = {"max_tokens": config.max_tokens} if config.max_tokens else {}
    wire = Wire(name, meter, concurrency, config.timeout, config.api_key_env, made.redact)
    made.lm = open_lm(config, wire, key, settings)
    if made.lm is not None:
        made.wire = wire
        return made
    if config.api_base:
        settings["api_base"] = config.api_base
    if key or config.api_base:
        settings["api_key"] = key or "none"
    made.lm = dspy.LM(config.model, timeout=config.timeout, num_retries=5, cache=False, **settings)
    return made

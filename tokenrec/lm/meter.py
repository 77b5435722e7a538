"""What a run has spent, and the limit it may not pass."""

import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass, field

from tokenrec.errors import BudgetStop, InputError
from tokenrec.recipe.models import Budget

UNPRICED = (
    "budget.usd can't be kept: the model's price is not known. Write price: under the model in tokenrec.yaml, "
    "or limit calls or lm_tokens instead"
)
attempts: ContextVar[list[int] | None] = ContextVar("attempts", default=None)  # [requests sent for one question]
finished: ContextVar[list[str] | None] = ContextVar("finished", default=None)  # finish reasons of one question


def note_end(reason: str | None) -> None:
    """Note why the LM stopped, for whoever asked."""
    if (ends := finished.get()) is not None:
        ends.append(reason or "")


@dataclass
class Usage:
    """LM units of one or many calls. `usd` is None while any price is unknown."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = 0.0

    def add(self, other: "Usage") -> None:
        self.calls += other.calls
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.usd = None if self.usd is None or other.usd is None else self.usd + other.usd


@dataclass
class Meter:
    """Counts every LM call of a run, retries included; `check` is asked before each."""

    budget: Budget = Budget()
    used: Usage = field(default_factory=Usage)
    started: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)
    parent: "Meter | None" = None
    in_flight: int = 0  # requests asked and not yet counted: they count towards a limit on calls

    def check(self, in_flight: int = 0) -> None:
        """Raise BudgetStop when the next call would pass a limit, InputError when a limit can't be kept.

        `in_flight`: requests of a child's that count here as well.
        """
        in_flight += self.in_flight
        limits = self.budget
        if limits.usd is not None and self.used.usd is None:
            raise InputError(UNPRICED)
        spent = {
            "calls": (limits.calls, self.used.calls + in_flight),
            "lm_tokens": (limits.lm_tokens, self.used.prompt_tokens + self.used.completion_tokens),
            "usd": (limits.usd, self.used.usd or 0.0),
            "minutes": (limits.minutes, (time.monotonic() - self.started) / 60),
        }
        for name, (limit, now) in spent.items():
            if limit is not None and now >= limit:
                raise BudgetStop(
                    f"budget reached: {name} {limit:g}. What is finished is stored; "
                    "raise the budget and run again to go on"
                )
        if self.parent:
            self.parent.check(in_flight)

    def add(self, usage: Usage) -> None:
        with self.lock:
            self.used.add(usage)
        if self.parent:
            self.parent.add(usage)

    def child(self, budget: Budget) -> "Meter":
        """A meter with limits of its own (the search) that also counts here."""
        return Meter(budget=budget, parent=self)

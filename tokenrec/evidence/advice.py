"""Two sentences from the evidence: raw text or generated tokens, for which subjects, and at what price.

Nothing is recommended that an interval does not prove, and nothing that it proves to hurt. A step is proved on a
slice when its interval, adjusted over the four slices (Holm 1979), leaves 0 aside; a step of tokens must beat the
placebo there as well, as a task must to be called *helps* (`evidence.verdicts`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenrec.evidence.arms import ArmScores
from tokenrec.evidence.statistics import compare, holm
from tokenrec.evidence.verdicts import FEWEST, placebos
from tokenrec.ranking.metrics import SLICES

TEXT = ("raw_text", "behaviour")  # what embedding the source text adds
TOKENS = ("raw_text+tokens", "raw_text")  # what writing tokens adds to that
NAMES = {"all": "all lists", "cold_items": "cold items", "sparse_users": "sparse users", "warm": "warm items"}


@dataclass(frozen=True)
class Step:
    """What `arm` adds to `over` on one slice: paired, two-way; low and high adjusted over the slices."""

    arm: str
    over: str
    slice: str
    n: int
    lift: float
    low: float
    high: float
    low_over_placebo: float = float("nan")  # plain 95%; only where tokens are added
    enough: bool = True  # FEWEST lists and clusters or more

    @property
    def gains(self) -> bool:
        beaten = (self.arm, self.over) != TOKENS or self.low_over_placebo > 0
        return self.enough and self.low > 0 and beaten

    @property
    def loses(self) -> bool:
        return self.enough and self.high < 0


@dataclass(frozen=True)
class Price:
    """What the present texts of one task took to write, whichever run paid; `usd` is None where no price is known."""

    task: str
    texts: int
    calls: int  # 0: played back from a recording
    usd: float | None = None


def steps(scores: ArmScores, metric: str, by: str = "user_item") -> list[Step]:
    """Raw text over behaviour, and tokens over raw text where there are any, on each slice with a list."""
    found = []
    for arm, over in (TEXT, TOKENS):
        if arm not in scores.arms:
            continue
        kind = "user_item" if (arm, over) == TEXT else by
        each = [(s, compare(scores, arm, over, metric, s, kind)) for s in SLICES]
        each = [(s, d) for s, d in each if d.n]
        for (slice, d), level in zip(each, holm([d.p_value for _, d in each])[1], strict=True):
            beaten = float("nan")
            if (arm, over) == TOKENS and (dealt := placebos(scores, "")):
                beaten = compare(scores, arm, dealt, metric, slice, kind).interval()[0]
            low, high = d.interval(level)
            found.append(Step(arm, over, slice, d.n, d.value, low, high, beaten, min(d.n, d.clusters) >= FEWEST))
    return found


def advise(
    found: Sequence[Step], board: Sequence[Any], prices: Sequence[Price], metric: str, slice: str = "all",
    smallest: float | None = None,
) -> list[str]:
    """[what to do and for whom, at what price].

    `board` has the leaderboard's rows (task, verdict, lift, low, high); `slice` is the objective's; `smallest` the
    lift that this data could show, None where it is not known.
    """
    what, tasks, bought = _what(found, board, metric, slice, smallest)
    return [what, _price(tasks, bought, found, prices, metric, slice)]


def _what(found, board, metric, slice, smallest) -> tuple[str, list[str] | None, Any]:
    """The sentence; the tasks that it recommends (None: none); the step or row that it rests on."""
    text, tokens = ({s.slice: s for s in found if (s.arm, s.over) == pair} for pair in (TEXT, TOKENS))
    helps = [r for r in board if r.verdict == "helps"]
    hurts = [r.task for r in board if r.verdict == "hurts"]
    whole, raw = tokens.get(slice), text.get(slice)
    elsewhere = [s for s in tokens.values() if s.slice != slice and s.gains]
    if whole and whole.gains and not hurts:
        more = f", {_for(elsewhere)}" if elsewhere else ""
        return (
            f"Write tokens beside the embedded raw text: they add {_said(whole)} {metric} to it on "
            f"{NAMES[slice]}{more}{_not_for(tokens)}.", [r.task for r in board], whole
        )  # fmt: skip
    if helps and not (whole and whole.loses):
        best = helps[0]
        names = " and ".join(r.task for r in helps)
        rest = f"; leave out {' and '.join(hurts)}, which lowers it" if hurts else ""
        apart = "" if len(helps) == 1 else ", each by itself"
        return (
            f"Write {names}{apart}, beside the embedded raw text: {best.task} adds {_said(best)} {metric} to it on "
            f"{NAMES[slice]}{rest}{_not_for(tokens)}.", [best.task], best
        )  # fmt: skip
    lost = f"; generated tokens lower it ({_said(whole)})" if whole and whole.loses else ""
    if not lost and hurts:
        lost = f"; {' and '.join(hurts)} lowers it"
    if elsewhere and not hurts:
        best = max(elsewhere, key=lambda s: s.low)
        return (
            f"Write tokens for {_and(elsewhere)} only: they add {_said(best)} {metric} to embedded raw text for "
            f"{NAMES[best.slice]} (n={best.n:,}), and are not proved to help on {NAMES[slice]}{lost}"
            f"{_not_for(tokens)}.",
            [r.task for r in board], best,
        )  # fmt: skip
    unproved = lost or (f"; generated tokens are not proved to add to it ({_said(whole)})" if whole else "")
    if raw and raw.gains:
        return (
            f"Embed the raw text: it adds {_said(raw)} {metric} to behaviour on {NAMES[slice]}{_not_for(text)}"
            f"{unproved}.",
            None, None,
        )  # fmt: skip
    some = [s for s in text.values() if s.gains]
    if some:
        best = max(some, key=lambda s: s.low)
        so = f", and lowers it on {NAMES[slice]} ({_said(raw)})" if raw and raw.loses else ""
        return (
            f"Embed the raw text for {_and(some)} only: it adds {_said(best)} {metric} to behaviour for "
            f"{NAMES[best.slice]} (n={best.n:,}){so}{unproved}.", None, None
        )  # fmt: skip
    if (raw and raw.loses) or lost:
        first = f"raw text lowers {metric} ({_said(raw)} on {NAMES[slice]})" if raw and raw.loses else (
            f"raw text is not proved to raise {metric}")  # fmt: skip
        return f"Leave text out: {first}{unproved}.", None, None
    seen = [f"raw text {_said(raw)}"] if raw else []
    seen += [f"tokens {_said(whole)}"] if whole else []
    least = f"; the smallest lift that it could show is {smallest:.4f}" if smallest is not None else ""
    return (
        f"Too little data to tell whether raw text or generated tokens serve it better: neither is proved to raise "
        f"{metric} on {NAMES[slice]} ({', '.join(seen) or 'no arm was measured'}; {raw.n if raw else 0:,} lists"
        f"{least}).",
        None, None,
    )  # fmt: skip


def _price(tasks, bought, found, prices, metric, slice) -> str:
    if not prices:
        return "No token was written; embedding raw text asks no LM."
    of = [p for p in prices if tasks is None or p.task in tasks] or list(prices)
    texts, calls = sum(p.texts for p in of), sum(p.calls for p in of)
    usd = None if any(p.usd is None for p in of) else sum(p.usd for p in of)
    if calls:
        money = "at a price that is not known" if usd is None else f"and ${usd:.2f}"
        paid, unit, count = f"took {calls:,} LM calls {money}", "LM calls", calls
        if played := sum(p.texts for p in of if not p.calls):  # by tasks with writers of their own
            unit, count = "texts", texts
            paid += f" ({played:,} of the texts were played back from a recording, whose price it does not tell)"
    else:
        paid, unit, count = "were played back from a recording, whose price it does not tell", "texts", texts
    say = f"The {texts:,} texts of {_names(p.task for p in of)} {paid}"
    if not count:
        return f"{say}."
    each = 1000 / count
    if bought is not None:
        where = "" if getattr(bought, "slice", slice) == slice else f" for {NAMES[bought.slice]}"
        return (
            f"{say}: {bought.lift * each:+.4f} {metric} per 1,000 {unit}{where} "
            f"({bought.low * each:+.4f} to {bought.high * each:+.4f})."
        )
    whole = next((s for s in found if (s.arm, s.over) == TOKENS and s.slice == slice), None)
    most = f" (at most {max(whole.high, 0) * each:+.4f} {metric} per 1,000 {unit})" if (
        whole and whole.enough and np.isfinite(whole.high)) else ""  # fmt: skip
    return f"{say}, and no lift of theirs is proved{most}; embedding raw text asks no LM."


def _for(some: Sequence[Step]) -> str:
    return " and ".join(f"{_said(s)} for {NAMES[s.slice]} (n={s.n:,})" for s in some)


def _not_for(by_slice: dict[str, Step]) -> str:
    bad = [s for s in by_slice.values() if s.loses]
    return f"; not for {_and(bad)}, where it loses ({_said(bad[0])})" if bad else ""


def _and(some: Sequence[Step]) -> str:
    return " and ".join(NAMES[s.slice] for s in some)


def _names(tasks) -> str:
    return " and ".join(tasks)


def _said(step) -> str:
    if not (np.isfinite(step.low) and np.isfinite(step.high)):
        return "too few to say"
    return f"{step.lift:+.4f} ({step.low:+.4f} to {step.high:+.4f})"

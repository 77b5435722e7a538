"""Rates of parts: of cold subjects, of one output among several, of one type of output, of an earlier program's texts.

They are what the whole task's rates are, by the same estimators on the texts of the part: within a stratum the labelled
ones of a part are an even draw of it.

A label is of a whole answer. Where a task has several outputs, the bad one is the one that the label's reason begins
with ("taste: not sour"; "taste, texture: ..."), or the text that its quotes stand in. Labels that don't say which leave
a range: from none of them to all of them.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tokenrec.dataset.lists import COLD_POSITIVES, SPARSE_EVENTS
from tokenrec.dataset.split import usable_before
from tokenrec.dataset.types import TEST, Dataset
from tokenrec.evidence.audited import Sample, sample_rate
from tokenrec.evidence.labels import Labels, label_rate
from tokenrec.evidence.rates import Rate
from tokenrec.evidence.texts import AFTER, BEFORE, FLAGS, TaskTexts, Text, flag_of
from tokenrec.recipe.models import Task

LEAST = 20  # labels of a part below which its rate is not said
SLICES = {"item": ("cold_items", "warm"), "user": ("sparse_users", "other_users")}


@dataclass(frozen=True)
class Said:
    """A label as it speaks of the parts of an answer."""

    label: str
    reason: str
    quotes: Sequence[str] | None
    output: dict[str, Any]



def slicer(dataset: Dataset, subject: str) -> Callable[[str], str]:
    """subject id → its slice, as the test window sees it: cold items have at most 2 positives before it, sparse users
    at most 5 events."""
    events, usable = dataset.events, usable_before(dataset, TEST)
    codes, ids, most = (
        (events.item[usable & events.positive], dataset.item_ids, COLD_POSITIVES)
        if subject == "item"
        else (events.user[usable], dataset.user_ids, SPARSE_EVENTS)
    )
    counts = np.bincount(codes, minlength=len(ids))
    few = {ids[i] for i in np.flatnonzero(counts <= most)}
    rare, usual = SLICES[subject]
    return lambda subject: rare if subject in few else usual


@dataclass(frozen=True)
class Part:
    """Some of a task's texts, read anew each time: they may lie on disk."""

    texts: Collection[Text]
    seen: Callable[[Text], Text | None]  # None: not of this part

    def __iter__(self) -> Iterator[Text]:
        return (seen for text in self.texts if (seen := self.seen(text)))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True)
class Basis:
    """A task's texts and the labels that its rates rest on: of its sample, or else of a file."""

    texts: TaskTexts
    labels: Labels
    sample: Sample | None = None

    def rate(self, stage: str, kind: str) -> Rate:
        if self.sample:
            return sample_rate(self.texts, stage, kind, self.sample)
        return label_rate(self.labels, self.texts, stage, kind)

    def part(self, seen: Callable[[Text], Text | None], called: Callable[[Said], str] | None = None) -> "Basis":
        """The same for the texts that `seen` leaves, as it shows them; `called`: what a label says of the part."""
        texts = TaskTexts(self.texts.task, before=Part(self.texts.before, seen), after=Part(self.texts.after, seen))
        labels, sample = self.labels, self.sample
        if sample:
            strata = {name: list(Part(found, seen)) for name, found in sample.strata.items()}
            said = sample.labels
            if called:
                said = {key: called(_said(row)) for key, row in sample.rows.items()}
            sample = Sample({name: found for name, found in strata.items() if found}, sample.drawn, said)
        elif called:
            labels = Labels({
                key: v.model_copy(update={"label": called(Said(v.label, v.reason, v.unsupported, v.output))})
                for key, v in labels.by.items()
            })  # fmt: skip
        return Basis(texts, labels, sample)


def _said(row: dict[str, Any]) -> Said:
    return Said(row["label"], row["reason"] or "", row["unsupported"], json.loads(row["output"]))


def rates_of(basis: Basis, kinds: Collection[str] = FLAGS, least: int = LEAST) -> dict[str, Any]:
    """{noise_rate, hallucination_rate}: {before, after}: Rate; None for what is not in `kinds`."""
    return {
        f"{kind}_rate": {s: enough(basis.rate(s, kind), least) for s in (BEFORE, AFTER)} if kind in kinds else None
        for kind in FLAGS
    }


def enough(rate: Rate, least: int = LEAST) -> Rate:
    """The rate, or none where it rests on fewer than `least` labels."""
    return rate if rate.audited >= least else Rate(None, None, None, rate.audited, rate.flagged)


def by_slice(basis: Basis, slice_of: Callable[[str], str], subject: str, kinds: Collection[str]) -> list[dict]:
    """Rates of each slice that has texts."""
    found = []
    for name in SLICES[subject]:
        part = basis.part(lambda t, name=name: t if slice_of(t.subject) == name else None)
        found.append({"name": name, **_sizes(part), **rates_of(part, kinds)})
    return [f for f in found if f["texts"][BEFORE] or f["texts"][AFTER]]


def by_output(basis: Basis, task: Task) -> list[dict]:
    """Rates of each output of a task with several."""
    if len(task.outputs) == 1:
        return []
    return [
        {"name": name, "type": output.type, **_sizes(basis), **of_outputs(basis, task, [name])}
        for name, output in task.outputs.items()
    ]


def of_outputs(basis: Basis, task: Task, names: Sequence[str], least: int = LEAST) -> dict[str, Any]:
    """Rates of answers in which one of these outputs is bad."""
    kinds = {"noise"} | {"hallucination" for name in names if task.outputs[name].ground != "none"}
    if len(names) == len(task.outputs):
        return rates_of(basis, kinds, least)

    def seen(text: Text) -> Text:
        return replace(text, flag=flag_of(gate for gate, name in text.where if name in names))

    def called(said: Said, unsure: bool) -> str:
        blamed = blames(said, task)
        return said.label if (blamed & set(names) if blamed else unsure) else "sound"

    low, high = (rates_of(basis.part(seen, lambda s, u=u: called(s, u)), kinds, least) for u in (False, True))
    return {key: low[key] and {stage: _between(low[key][stage], high[key][stage]) for stage in low[key]} for key in low}


def blames(said: Said, task: Task) -> set[str]:
    """The outputs that a label calls bad; none where it doesn't say."""
    if named := re.match(r"\s*(\w+(?:\s*,\s*\w+)*)\s*:\s", said.reason):
        names = set(re.split(r"\s*,\s*", named[1]))
        if names <= task.outputs.keys():
            return names
    if said.label != "hallucination" or said.quotes is None:
        return set()
    texts = {name for name, output in task.outputs.items() if output.type == "text"}
    others = task.outputs.keys() - texts
    if not said.quotes:  # no sentence of a text
        return others if len(others) == 1 else set()
    return {name for name in texts if any(quote in said.output.get(name, "") for quote in said.quotes)}


def _between(low: Rate, high: Rate) -> Rate:
    """From one estimate to another; a value only where they are one."""
    if low == high or low.value is None:
        return low
    return Rate(None, low.low, high.high, low.audited, low.flagged)


def _sizes(basis: Basis) -> dict[str, Any]:
    return {"texts": {BEFORE: len(basis.texts.before), AFTER: len(basis.texts.after)}}


def by_type(tasks: Sequence[tuple[Basis, Task]]) -> list[dict[str, Any]]:
    """Rates of each type of output over the tasks that write it and have labels; an answer counts once."""
    found: dict[str, list[tuple[str, dict[str, Any], dict[str, int]]]] = {}
    for basis, task in tasks:
        for kind in dict.fromkeys(o.type for o in task.outputs.values()):
            names = [name for name, o in task.outputs.items() if o.type == kind]
            sizes = _sizes(basis)["texts"]
            found.setdefault(kind, []).append((basis.texts.task, of_outputs(basis, task, names, 1), sizes))
    told = []
    for kind, rows in found.items():
        rates = {}
        for key in (f"{flag}_rate" for flag in FLAGS):
            judged = [(row[key], sizes) for _, row, sizes in rows if row[key]]
            rates[key] = judged and {
                stage: enough(pooled([(rate[stage], sizes[stage]) for rate, sizes in judged]))
                for stage in (BEFORE, AFTER)
            } or None  # fmt: skip
        sizes = {stage: sum(s[stage] for *_, s in rows) for stage in (BEFORE, AFTER)}
        told.append({"name": kind, "tasks": [task for task, *_ in rows], "texts": sizes, **rates})
    return told


def pooled(rates: Sequence[tuple[Rate, int]]) -> Rate:
    """One rate of several, each of so many texts, with the intervals put together by MOVER (Zou and Donner, 2008).
    Those without labels are left out, but for what the gates flag."""
    texts = sum(n for _, n in rates)
    flagged = sum(r.flagged * n for r, n in rates if n) / texts if texts else None
    said = [(r, n) for r, n in rates if r.low is not None and n]
    total, audited = sum(n for _, n in said), sum(r.audited for r, _ in said)
    if not said:
        return Rate(None, None, None, sum(r.audited for r, _ in rates), flagged)
    if any(r.value is None for r, _ in said):
        low, high = (sum(getattr(r, end) * n for r, n in said) / total for end in ("low", "high"))
        return Rate(None, low, high, audited, flagged)
    value = sum(r.value * n for r, n in said) / total
    below = sum((n / total * (r.value - r.low)) ** 2 for r, n in said) ** 0.5
    above = sum((n / total * (r.high - r.value)) ** 2 for r, n in said) ** 0.5
    return Rate(value, max(0.0, value - below), min(1.0, value + above), audited, flagged)

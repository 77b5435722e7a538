"""Rates of parts: of cold subjects, of one output among several, of one type of output, of an earlier program's texts.

They are what the whole task's rates are, by the same estimators on the texts of the part: within a stratum the labelled
ones of a part are an even draw of it.

A label is of a whole answer. Where a task has several outputs, the bad one is the one that the label's reason begins
with ("taste: not sour"; "taste, texture: ..."), or the text that its quotes stand in. Labels that don't say which leave
a range: from none of them to all of them.
"""

import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tokenrec.dataset.lists import COLD_POSITIVES, SPARSE_EVENTS
from tokenrec.dataset.split import usable_before
from tokenrec.dataset.types import TEST, Dataset
from tokenrec.evidence.audited import Sample, sample_rate
from tokenrec.evidence.labels import Cell, Label, Labels, cell_rate, cells_of
from tokenrec.evidence.rates import Rate
from tokenrec.evidence.texts import AFTER, BEFORE, FLAGS, TaskTexts, Text, flag_of
from tokenrec.recipe.tasks import Task

LEAST = 20  # labels of a part below which its rate is not said, unless all of it was read
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


Seen = Callable[[Text], Text | None]  # a text as a part sees it; None: not of this part
Called = Callable[[Said], str]  # what a label says of a part


@dataclass(frozen=True)
class FromSample:
    """A task's texts, and the audited sample that its rates rest on."""

    texts: TaskTexts
    sample: Sample

    def rate(self, stage: str, kind: str) -> Rate:
        return sample_rate(self.texts, stage, kind, self.sample)

    def size(self, stage: str) -> int:
        return len(self.texts.of(stage))

    def part(self, seen: Seen, called: Called | None = None) -> "FromSample":
        texts = TaskTexts(self.texts.task, before=_seen(self.texts.before, seen), after=_seen(self.texts.after, seen))
        strata = {name: _seen(found, seen) for name, found in self.sample.strata.items()}
        said = self.sample.labels
        if called:
            said = {key: called(_said(row)) for key, row in self.sample.rows.items()}
        strata = {name: found for name, found in strata.items() if found}
        return FromSample(texts, Sample(strata, self.sample.drawn, said))


@dataclass(frozen=True)
class FromFile:
    """A task's texts, and the labels of a file that its rates rest on; by stage."""

    cells: dict[str, list[Cell]]

    def rate(self, stage: str, kind: str) -> Rate:
        return cell_rate(self.cells[stage], kind)

    def size(self, stage: str) -> int:
        return sum(c.n for c in self.cells[stage])

    def part(self, seen: Seen, called: Called | None = None) -> "FromFile":
        return FromFile({stage: [
            replace(c, text=text, label=c.label and called and _relabelled(c.label, called) or c.label)
            for c in found if (text := seen(c.text))
        ] for stage, found in self.cells.items()})  # fmt: skip


Basis = FromSample | FromFile


def basis_of(texts: TaskTexts, labels: Labels, sample: Sample | None, slice_of: Callable[[str], str] | None) -> Basis:
    """What the rates of a task rest on: its sample where there is one, else a file's labels."""
    if sample:
        return FromSample(texts, sample)
    return FromFile({stage: cells_of(labels, texts, stage, slice_of or _no_slice) for stage in (BEFORE, AFTER)})


def _no_slice(subject: str) -> str:
    return ""


def _seen(texts: Collection[Text], seen: Seen) -> list[Text]:
    return [found for text in texts if (found := seen(text))]


def _relabelled(label: Label, called: Called) -> Label:
    said = called(Said(label.label, label.reason, label.unsupported, label.output))
    return label.model_copy(update={"label": said})


def _said(row: dict[str, Any]) -> Said:
    return Said(row["label"], row["reason"] or "", row["unsupported"], json.loads(row["output"]))


def rates_of(basis: Basis, kinds: Collection[str] = FLAGS, least: int = LEAST) -> dict[str, Any]:
    """{noise_rate, hallucination_rate}: {before, after}: Rate; None for what is not in `kinds`."""
    return {
        f"{kind}_rate": {s: enough(basis.rate(s, kind), least) for s in (BEFORE, AFTER)} if kind in kinds else None
        for kind in FLAGS
    }


def enough(rate: Rate, least: int = LEAST) -> Rate:
    """The rate, or none where it rests on fewer than `least` labels; where every text was read it is no estimate."""
    told = rate.audited >= least or (rate.value is not None and rate.low == rate.high)
    return rate if told else Rate(None, None, None, rate.audited, rate.flagged)


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
        return replace(text, flag=flag_of([gate for gate, name in text.where if name in names]))

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
    return {"texts": {stage: basis.size(stage) for stage in (BEFORE, AFTER)}}


def by_type(tasks: Sequence[tuple[str, Basis, Task]]) -> list[dict[str, Any]]:
    """Rates of each type of output over the tasks that write it and have labels; an answer counts once."""
    found: dict[str, list[tuple[str, dict[str, Any], dict[str, int]]]] = {}
    for called, basis, task in tasks:
        for kind in dict.fromkeys(o.type for o in task.outputs.values()):
            names = [name for name, o in task.outputs.items() if o.type == kind]
            sizes = _sizes(basis)["texts"]
            found.setdefault(kind, []).append((called, of_outputs(basis, task, names, 1), sizes))
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

"""Human labels of outputs (`eval.labels`): reading, matching with the texts in the store, drawing texts to label.

JSONL, one text a line: task, subject, output, label (sound, noise, hallucination), reason, who; of a hallucination
also unsupported, quotes of the sentences that are; where the texts were drawn with unequal chances p, the chance that
this one had; stage (before, after) where it was drawn from one of them only; blind, whether the reader did not see what
the gates found. name and record are for the reader's eyes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, ValidationError, field_validator

from tokenrec.errors import InputError
from tokenrec.evidence.rates import Rate, estimate_rate
from tokenrec.evidence.texts import TaskTexts, Text
from tokenrec.ids import canonical_json, unit_hash
from tokenrec.jsonl import in_words, raise_faults, read_lines
from tokenrec.recipe.base import Model
from tokenrec.recipe.explain import nearest
from tokenrec.recipe.tasks import Task


class Label(Model):
    """One line of a labels file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    task: str
    subject: str = Field(min_length=1)
    output: dict[str, Any]
    label: Literal["sound", "noise", "hallucination", ""] = ""  # "": drawn, not read yet
    reason: str = ""
    unsupported: list[str] | None = None  # verbatim; None: not said; []: no sentence, but another output of the task
    who: str = ""
    blind: bool | None = None
    p: float | None = Field(default=None, gt=0, le=1)
    stage: Literal["before", "after"] | None = None
    name: str = ""
    record: dict[str, Any] | None = None

    @field_validator("subject", mode="before")
    @classmethod
    def _plain(cls, value):
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


@dataclass(frozen=True)
class Labels:
    """A labels file: `by` finds a label by task, (subject, canonical output) and stage (None: any)."""

    by: dict[tuple[str, tuple[str, str], str | None], Label]
    empty: int = 0  # lines without a label yet

    def __len__(self) -> int:
        return len(self.by)

    def find(self, text: Text, stage: str | None = None) -> Label | None:
        """The label of `text`. At a stage: one drawn there, else one that is not bound to a stage."""
        stages = (None, "before", "after") if stage is None else (stage, None)
        return next((f for s in stages if (f := self.by.get((text.task, text.key, s)))), None)


def read_labels(path: Path, tasks: Mapping[str, Task], name: str | None = None) -> Labels:
    """Read a labels file strictly; `tasks` are those of the recipe, `name` is what messages call the file.

    Raises InputError with file:line of every fault (the first ten), among them two different labels of one text.
    """
    name = name or str(path)
    by: dict[tuple, tuple[int, Label]] = {}
    faults, empty = [], 0
    for number, label in read_lines(path, name, lambda found: _read(found, tasks)):
        if not label.label:
            empty += 1
            continue
        key = (label.task, (label.subject, canonical_json(label.output)), label.stage)
        same = [by[k] for stage in (None, "before", "after") if (k := (*key[:2], stage)) in by]
        if clash := next((s for s in same if s[1].label != label.label), None):
            other, seen = clash
            words = f"{label.label}, and line {other} calls the same text {seen.label}. settle on one"
            faults.append(f"{name}:{number}: label: {words}")
        by.setdefault(key, (number, label))
    raise_faults(faults, len(faults))
    for task in tasks:
        lines = [(n, v.p) for n, v in by.values() if v.task == task]
        if lines and any(p is None for _, p in lines) and any(p is not None for _, p in lines):
            bare = next(n for n, p in lines if p is None)
            said = f"p: other labels of {task} have one. Give it in all lines of a task, or in none"
            raise InputError(f"{name}:{bare}: {said}")
    return Labels({k: v for k, (_, v) in by.items()}, empty)


def _read(found: dict[str, Any], tasks: Mapping[str, Task]) -> Label:
    """One line. Raises ValueError with what is wrong and what to do."""
    try:
        label = Label.model_validate(found)
    except ValidationError as error:
        raise ValueError(in_words(error, list(Label.model_fields))) from error
    try:
        canonical_json(label.output)
    except ValueError as error:  # Python reads NaN, and 1e999 as infinity
        raise ValueError("output: holds NaN or a number that is too large, and JSON has neither. mend it") from error
    if label.task not in tasks:
        raise ValueError(f"task: {label.task} is no task of this recipe. {nearest(label.task, list(tasks))}")
    if label.unsupported is not None:
        if label.label != "hallucination":
            raise ValueError("unsupported: goes with the label hallucination. remove it, or change the label")
        texts = [t for name, o in tasks[label.task].outputs.items() if o.type == "text"
                 and isinstance(t := label.output.get(name), str)]  # fmt: skip
        if not label.unsupported and len(tasks[label.task].outputs) == 1:
            raise ValueError("unsupported: quotes no sentence. quote one, or remove the key")
        for quote in label.unsupported:
            if not quote.strip() or not any(quote in t for t in texts):
                raise ValueError(f"unsupported: {quote[:60]!r} stands in no text of the output. quote it verbatim")
    return label


def sentence_labels(
    text_value: str, label: str, unsupported: Sequence[str] | None, places: Sequence[tuple[int, int]]
) -> list[bool | None]:
    """Whether each sentence of one text is unsupported, by what people said of the answer that it is part of.

    `unsupported`: quotes; a sentence is, when one overlaps it, wherever in the text it stands. None: nobody said which,
    so the only sentence of a text is, and of several none is known. `places`: start and end of each sentence.
    """
    if label != "hallucination":
        return [False] * len(places)
    if unsupported is None:
        return [True] if len(places) == 1 else [None] * len(places)
    spans = [(at, at + len(q)) for q in map(str.strip, unsupported) if q for at in _all(text_value, q)]
    return [any(start < until and at < end for at, until in spans) for start, end in places]


def _all(text: str, quote: str) -> list[int]:
    """Where a quote begins, overlaps included."""
    found, at = [], text.find(quote)
    while at >= 0:
        found.append(at)
        at = text.find(quote, at + 1)
    return found


@dataclass(frozen=True)
class Cell:
    """Texts that count alike: one with its label, or `n` without any, of which `text` is the first."""

    text: Text
    n: int = 1
    label: Label | None = None


def cells_of(
    labels: Labels, texts: TaskTexts, stage: str, slice_of: Callable[[str], str] = lambda subject: ""
) -> list[Cell]:
    """All texts of a stage in one reading (they may lie on disk), those without a label by slice and by what the gates
    said of them."""
    found, alike = [], {}
    for text in texts.of(stage):
        if len(labels) and (label := labels.find(text, stage)):
            found.append(Cell(text, 1, label))
        else:
            first = alike.setdefault((slice_of(text.subject), text.flag, text.where), [text, 0])
            first[1] += 1
    return found + [Cell(text, n) for text, n in alike.values()]


def cell_rate(cells: Sequence[Cell], kind: str) -> Rate:
    """The rate of texts that people call `kind` (noise, hallucination)."""
    n, flagged = sum(c.n for c in cells), sum(c.n for c in cells if c.text.flag == kind)
    known = [(c.label.label == kind, c.text.flag == kind, c.label.p or 1.0) for c in cells if c.label]
    bad, flag, p = zip(*known, strict=True) if known else ((), (), ())
    return estimate_rate(np.array(bad, bool), np.array(flag, bool), np.array(p, float), n - flagged, flagged)


def label_rate(labels: Labels, texts: TaskTexts, stage: str, kind: str) -> Rate:
    """The rate of texts that people call `kind` at a stage, before or after."""
    return cell_rate(cells_of(labels, texts, stage), kind)


def matched_labels(labels: Labels, texts: Iterable[TaskTexts]) -> tuple[list[dict[str, Any]], int]:
    """(rows for the table `audits`, how many labels are of texts that are no longer there)."""
    rows, used = {}, set()
    for task in texts:
        for text in task.distinct():
            if label := labels.find(text):
                used.add((text.task, text.key))
                rows[text.task, text.key] = {
                    "task": text.task,
                    "subject": text.subject,
                    "output": text.output,
                    "completion_id": text.completion_id,
                    "label": label.label,
                    "reason": label.reason,
                    "who": label.who,
                    "unsupported": label.unsupported,
                    "blind": label.blind,
                }
    return list(rows.values()), len({(task, key) for task, key, _ in labels.by} - used)


def draw(texts: Iterable[TaskTexts], most: int, labels: Labels | None = None) -> list[dict[str, Any]]:
    """About `most` texts to label, as lines of a labels file in random order, each with its chance `p`.

    Every task gets an equal share. Half of it goes to what the gates accepted (`fail_if` acts on that), the rest to
    what they called noise or hallucination; what a stratum can't use goes to the others. The draw is by hash: the
    same store gives the same texts, and a larger `most` adds to them. Labels that exist already are filled in.
    """
    found = [t for t in texts if t.n]
    sizes = share_out(most, [len(t.distinct()) for t in found], [1.0] * len(found))
    lines = []
    for task, size in zip(found, sizes, strict=True):
        strata = [[t for t in task.distinct() if t.flag == flag] for flag in ("", "noise", "hallucination")]
        takes = share_out(size, [len(s) for s in strata], [0.5, 0.25, 0.25])
        for stratum, take in zip(strata, takes, strict=True):
            order = sorted(stratum, key=lambda t: unit_hash("audit", t.task, *t.key))
            lines += [_line(t, take / len(stratum), labels) for t in order[:take]]
    return sorted(lines, key=lambda r: unit_hash("order", r["task"], r["subject"], canonical_json(r["output"])))


def _line(text: Text, p: float, labels: Labels | None) -> dict[str, Any]:
    known = labels.find(text) if labels else None
    return {
        "task": text.task,
        "subject": text.subject,
        "name": text.name,
        "record": text.record,
        "output": text.output,
        "label": known.label if known else "",
        "reason": known.reason if known else "",
        "who": known.who if known else "",
        **({} if not known or known.unsupported is None else {"unsupported": known.unsupported}),
        **({} if not known or known.blind is None else {"blind": known.blind}),
        "p": p,
    }


def share_out(total: int, sizes: list[int], parts: list[float]) -> list[int]:
    """Split `total` nearly in proportion to `parts`, none above its size (Webster's method: more for all when more)."""
    given = [0] * len(sizes)
    for _ in range(min(total, sum(sizes))):
        given[min((i for i, s in enumerate(sizes) if given[i] < s), key=lambda i: (given[i] + 0.5) / parts[i])] += 1
    return given

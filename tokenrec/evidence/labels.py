"""Human labels of outputs (`eval.labels`): reading, matching with the texts in the store, drawing texts to label.

JSONL, one text a line: task, subject, output, label (sound, noise, hallucination), reason, who; where the texts were
drawn with unequal chances also p, the chance that this one had; stage (before, after) where it was drawn from one of
them only. name and record are for the reader's eyes.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, ValidationError, field_validator

from tokenrec.errors import InputError
from tokenrec.evidence.rates import Rate, estimate_rate
from tokenrec.evidence.texts import TaskTexts, Text
from tokenrec.ids import canonical_json, unit_hash
from tokenrec.recipe.explain import nearest
from tokenrec.recipe.models import Model

SHOWN = 10  # faults of a file that are listed


class Label(Model):
    """One line of a labels file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    task: str
    subject: str = Field(min_length=1)
    output: dict[str, Any]
    label: Literal["sound", "noise", "hallucination", ""] = ""  # "": drawn, not read yet
    reason: str = ""
    who: str = ""
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


def read_labels(path: Path, tasks: Iterable[str], name: str | None = None) -> Labels:
    """Read a labels file strictly; `tasks` are those of the recipe, `name` is what messages call the file.

    Raises InputError with file:line of every fault (the first ten), among them two different labels of one text.
    """
    name, tasks = name or str(path), list(tasks)
    by: dict[tuple, tuple[int, Label]] = {}
    faults, empty = [], 0
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    label = _read(line, tasks, number == 1)
                except ValueError as error:
                    faults.append(f"{name}:{number}: {error}")
                    continue
                empty += not label.label
                if label.label:
                    key = (label.task, (label.subject, canonical_json(label.output)), label.stage)
                    same = [by[k] for stage in (None, "before", "after") if (k := (*key[:2], stage)) in by]
                    for other, seen in same:
                        if seen.label != label.label:
                            words = f"{label.label}, and line {other} calls the same text {seen.label}. settle on one"
                            faults.append(f"{name}:{number}: label: {words}")
                            break
                    by.setdefault(key, (number, label))
    except OSError as error:
        raise InputError(f"{name}: can't be read: {error.strerror or error}. Mend eval.labels of the recipe") from error
    if faults:
        more = [f"and {len(faults) - SHOWN} more faults"] if len(faults) > SHOWN else []
        raise InputError("\n".join(faults[:SHOWN] + more))
    for task in tasks:
        lines = [(n, v.p) for n, v in by.values() if v.task == task]
        if lines and any(p is None for _, p in lines) and any(p is not None for _, p in lines):
            bare = next(n for n, p in lines if p is None)
            said = f"p: other labels of {task} have one. Give it in all lines of a task, or in none"
            raise InputError(f"{name}:{bare}: {said}")
    return Labels({k: v for k, (_, v) in by.items()}, empty)


def _read(line: bytes, tasks: list[str], first: bool) -> Label:
    """One line. Raises ValueError with what is wrong and what to do."""
    try:
        found = json.loads(line.decode("utf-8-sig" if first else "utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise ValueError("not UTF-8. save the file as UTF-8") from error
    except RecursionError as error:
        raise ValueError("nested too deeply to be an output") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} at column {error.colno}. a line is one JSON object") from error
    if not isinstance(found, dict):
        raise ValueError('no JSON object. a line is {"task": ..., "subject": ..., "output": {...}, "label": ...}')
    try:
        label = Label.model_validate(found)
    except ValidationError as error:
        first_fault = error.errors(include_url=False)[0]
        key = ".".join(map(str, first_fault["loc"]))
        if first_fault["type"] == "extra_forbidden":
            raise ValueError(f"{key}: unknown key. {nearest(key, list(Label.model_fields))}") from error
        raise ValueError(f"{key}: {first_fault['msg'][:1].lower()}{first_fault['msg'][1:]}. mend it") from error
    canonical_json(label.output)  # 1e999 is JSON and no number: a ValueError
    if label.task not in tasks:
        raise ValueError(f"task: {label.task} is no task of this recipe. {nearest(label.task, tasks)}")
    return label


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number. mend it")


def label_rate(labels: Labels, texts: TaskTexts, stage: str, kind: str) -> Rate:
    """The rate of texts that people call `kind` (noise, hallucination) at a stage, before or after."""
    found = texts.of(stage)
    matched = [(t, label) for t in found if (label := labels.find(t, stage))]
    flagged = sum(t.flag == kind for t in found)
    return estimate_rate(
        np.array([label.label == kind for _, label in matched], bool),
        np.array([t.flag == kind for t, _ in matched], bool),
        np.array([label.p or 1.0 for _, label in matched], float),
        len(found) - flagged,
        flagged,
    )


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
        "p": p,
    }


def share_out(total: int, sizes: list[int], parts: list[float]) -> list[int]:
    """Split `total` nearly in proportion to `parts`, none above its size (Webster's method: more for all when more)."""
    given = [0] * len(sizes)
    for _ in range(min(total, sum(sizes))):
        given[min((i for i, s in enumerate(sizes) if given[i] < s), key=lambda i: (given[i] + 0.5) / parts[i])] += 1
    return given

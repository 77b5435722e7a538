"""`tokenrec compile RECIPE --judge`: the language model that judges texts, compiled on people's labels.

Labelled texts fall in two halves by a hash of their subject. On one, DSPy's BootstrapFewShotWithRandomSearch looks for
better demonstrations, and the threshold of a judge that gives likelihoods is set anew. On the other, which had no part
in it, the judge is measured before and after, and takes the place of the one before only where it is better there.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenrec.compiler.judge_search import search_judge
from tokenrec.errors import InputError
from tokenrec.evidence.evaluate import gather
from tokenrec.evidence.labels import sentence_labels
from tokenrec.evidence.quality import auroc
from tokenrec.gates.text import places
from tokenrec.generate.fact_judge import (
    MOST_SENTENCES,
    FactJudge,
    as_judge,
    asked_inputs,
    judged_outputs,
    measures,
    said_of,
)
from tokenrec.generate.judge_run import ask_judge
from tokenrec.generate.scorers import fact_judge, judge_model
from tokenrec.ids import run_id, unit_hash
from tokenrec.lm.meter import Meter
from tokenrec.lm.writer import open_writer
from tokenrec.recipe.load import LoadedRecipe
from tokenrec.recipe.models import Budget
from tokenrec.recipe.tasks import Task
from tokenrec.store.audits import labelled_texts
from tokenrec.store.lock import only_run
from tokenrec.store.runs import recorded_run
from tokenrec.store.store import open_store
from tokenrec.tasks.compiled import compiled_path, read_lock, write_lock
from tokenrec.tasks.inputs import Prompt
from tokenrec.tasks.program import program_state
from tokenrec.tasks.spec import input_hash

LEAST = 5  # texts with an unsupported claim, and without, in each half
FEW = 50  # labels to measure on, below which the intervals are called wide
DRAWS = 2000


@dataclass(frozen=True)
class Labelled:
    """A text that people have read. `bad`: it holds an unsupported claim; `sentences`: which do, None: not said."""

    prompt: Prompt
    bad: bool
    sentences: tuple[bool | None, ...]
    measures: bool  # in the half that nothing is fitted on


def compile_judges(loaded: LoadedRecipe, stages, budget: Budget | None = None) -> dict[str, Any]:
    """The JSON document of `tokenrec compile --judge --json`. Raises InputError, BudgetStop, ServiceError."""
    recipe, root = loaded.recipe, loaded.project
    wanted = [(name, output) for name, task in recipe.tasks.items() for output in judged_outputs(task)]
    if not wanted:
        raise InputError(f"{loaded.path}: no output has judge: lm, so there is no judge to compile. add it to one")
    began, run = time.perf_counter(), run_id()
    with only_run(root.store, recipe.name):
        with stages.stage("texts and labels"):
            notes = gather(loaded).notes  # labels of the file into the store, verdicts up to date
        db = open_store(root.store)
        limits = {k: v for b in (root.project.budget, recipe.budget, budget or Budget())
                  for k, v in b.model_dump().items() if v is not None}  # fmt: skip
        writer = open_writer(root, judge_model(recipe), Meter(budget=Budget(**limits)))
        try:
            with recorded_run(db, run, recipe.name, "judge", loaded.recipe_hash):
                made = [_compile(db, loaded, run, task, output, writer, stages) for task, output in wanted]
        finally:
            db.conn.close()
    used = writer.meter.used
    return {
        "kind": "judge", "schema_version": 1, "run": run, "recipe": recipe.name, "lm": writer.lm_id, "judges": made,
        "lm_calls": used.calls, "prompt_tokens": used.prompt_tokens, "completion_tokens": used.completion_tokens,
        "cost_usd": used.usd, "seconds": round(time.perf_counter() - began, 2), "notes": notes,
    }  # fmt: skip


def _compile(db, loaded: LoadedRecipe, run: str, task: str, output: str, writer, stages) -> dict[str, Any]:
    recipe, project = loaded.recipe, loaded.project
    before = fact_judge(project, recipe, task, output, writer)
    texts = labelled(db, recipe.name, recipe.tasks[task], task, output)
    fitting, held = [t for t in texts if not t.measures], [t for t in texts if t.measures]
    said = {
        "task": task, "output": output, "labels": {
            half: {"texts": len(part), "unsupported": sum(t.bad for t in part)}
            for half, part in (("compiling", fitting), ("measuring", held))
        },
        "before": None, "after": None, "difference": None, "saved": False, "file": None, "enough": True,
    }  # fmt: skip
    if short := _too_few(fitting, held):
        return said | {"enough": False, "note": short}
    if writer.replay:
        return said | {"note": "recorded answers can't be compiled: name a language model under lm.judge"}

    def ask(judge: FactJudge, name: str) -> FactJudge:
        with stages.stage(name, len(texts)) as bar:
            ask_judge(db, recipe.name, judge, [t.prompt for t in texts], run=run, current=False,
                      concurrency=project.project.concurrency, progress=bar.generation)  # fmt: skip
        return judge

    ask(before, f"{task}.{output}: the judge as it is")
    with stages.stage(f"{task}.{output}: search", 1) as bar:
        found = search_judge(db, run, before, fitting, bar)
    rivals = [before.program.deepcopy(), *([found.program] if found.program is not None else [])]
    tried = []
    for program in rivals:
        judge = as_judge(output, before.spec, program, writer, before.source_id, before.lm_id)
        ask(judge, f"{task}.{output}: the judge as compiled") if judge.program_id != before.program_id else None
        anchored = _anchor(db, judge, fitting)
        tried.append((_agreement(db, anchored, fitting), anchored))
    after = max(tried, key=lambda t: t[0])[1]
    figures = _measure(db, before, after, held)
    if figures is None:
        return said | {"enough": False, "note": "too many of the held-out texts have no answer that can be read"}
    same = (after.program_id, after.threshold) == (before.program_id, before.threshold)
    gains = [figures["difference"][name]["value"] for name in ("auroc", "f1")]
    better = not same and min(gains) >= 0 and max(gains) > 0
    path = compiled_path(project.root, recipe.name, before.spec.name, writer.lm_id)
    if better:
        _save(path, recipe.name, loaded.recipe_hash, before, after, figures, said["labels"])
    note = _note(found.note, same, better, figures, len(held))
    return said | figures | {"saved": better, "file": str(path) if better else None, "note": note}


def labelled(db, recipe: str, task: Task, name: str, output: str) -> list[Labelled]:
    """Every labelled text of the task whose answer is in the store, whichever prompt wrote it, in a stable order.

    Noise is left out: a label says one thing, and noise comes first. So is a text whose label does not tell whether
    this output of several holds the unsupported claim.
    """
    alone = sum(o.type == "text" for o in task.outputs.values()) == 1
    found = []
    for subject, shown, inputs, said, label, quotes in labelled_texts(db, recipe, name):
        text = said.get(output)
        if label == "noise" or not isinstance(text, str) or (label == "hallucination" and quotes is None and not alone):
            continue
        asked = asked_inputs(text, inputs)
        if asked is None:
            continue
        marks = tuple(sentence_labels(text, label, quotes, places(text)[:MOST_SENTENCES]))
        bad = label == "hallucination" and (quotes is None or any(marks))
        found.append(Labelled(Prompt(subject, shown, asked, input_hash(asked)), bad, marks, measures(name, subject)))
    return sorted(found, key=lambda t: unit_hash("judge order", t.prompt.subject, t.prompt.hash))


def _too_few(fitting: list[Labelled], held: list[Labelled]) -> str:
    for what, part in (("to compile on", fitting), ("to measure on", held)):
        bad = sum(t.bad for t in part)
        if min(bad, len(part) - bad) < LEAST:
            return (f"{len(part)} labels {what}, {bad} of them unsupported: it takes {LEAST} of either kind in each "
                    "half. run: tokenrec audit")  # fmt: skip
    return ""


def _scores(db, judge: FactJudge, texts: list[Labelled]) -> np.ndarray:
    """float[n]: P(unsupported) of each text, that of its worst sentence; NaN without an answer."""
    said = said_of(db, judge, {t.prompt.hash: t.prompt.inputs for t in texts})
    return np.array([max(said[t.prompt.hash]) if t.prompt.hash in said else np.nan for t in texts])


def _anchor(db, judge: FactJudge, texts: list[Labelled]) -> FactJudge:
    """The judge with the threshold on its likelihoods that gives the best F1 on `texts`, kept as DSPy keeps it."""
    if not judge.writer.chooser:
        return judge
    judge.threshold = 0.5
    p, bad = _scores(db, judge, texts), np.array([t.bad for t in texts])
    p, bad = p[~np.isnan(p)], bad[~np.isnan(p)]
    edges = np.unique(p)
    best, at = max((f1(bad, p >= x), -i) for i, x in enumerate(edges)) if len(edges) else (0.0, 0)
    if best > f1(bad, p >= 0.5):
        low = edges[-at - 1] if at else 0.0
        threshold = round(float((low + edges[-at]) / 2), 4)
        judge.program.choose.fields = {"true": {"threshold": round(1 - threshold, 4)}}
    return as_judge(judge.output, judge.spec, judge.program, judge.writer, judge.source_id, judge.lm_id)


def _agreement(db, judge: FactJudge, texts: list[Labelled]) -> tuple[float, float]:
    p, bad = _scores(db, judge, texts), np.array([t.bad for t in texts])
    p = np.where(np.isnan(p), 0.5, p)
    return auroc(bad, p, np.ones(len(p))) or 0.5, f1(bad, p >= 0.5)


def _measure(db, before: FactJudge, after: FactJudge, held: list[Labelled]) -> dict[str, Any] | None:
    """AUROC and F1 of both on the held-out texts that both answered, with 95% intervals by a bootstrap over texts."""
    p, q = _scores(db, before, held), _scores(db, after, held)
    known = ~np.isnan(p) & ~np.isnan(q)
    bad, p, q = np.array([t.bad for t in held])[known], p[known], q[known]
    if min(bad.sum(), (~bad).sum()) < LEAST:
        return None
    rng, draws = np.random.default_rng(0), []
    for _ in range(DRAWS):
        i = rng.integers(0, len(bad), len(bad))
        if bad[i].any() and not bad[i].all():
            draws.append([*_both(bad[i], p[i]), *_both(bad[i], q[i])])
    values = np.array([*_both(bad, p), *_both(bad, q)])
    table = np.array(draws)
    low, high = np.quantile(table, (0.025, 0.975), axis=0)
    apart = np.quantile(table[:, 2:] - table[:, :2], (0.025, 0.975), axis=0)
    rows = {}
    for i, name in enumerate(("auroc", "f1")):
        for which, at in (("before", i), ("after", i + 2)):
            rows.setdefault(which, {})[name] = _interval(values[at], low[at], high[at])
        rows.setdefault("difference", {})[name] = _interval(values[i + 2] - values[i], *apart[:, i])
    rows["all_unsupported_f1"] = round(f1(bad, np.ones(len(bad), bool)), 4)
    return rows


def _both(bad: np.ndarray, p: np.ndarray) -> tuple[float, float]:
    return auroc(bad, p, np.ones(len(p))), f1(bad, p >= 0.5)


def _interval(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": round(float(value), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def f1(bad: np.ndarray, said: np.ndarray) -> float:
    """2 hits / (called unsupported + unsupported); 0 where there is neither."""
    both = float(bad.sum() + said.sum())
    return 2 * float((bad & said).sum()) / both if both else 0.0


def _note(searched: str, same: bool, better: bool, figures: dict[str, Any], n: int) -> str:
    parts = [searched] if searched else []
    if same:
        parts.append("nothing better was found on the labels to compile on: the judge stays")
    elif better:
        sure = figures["difference"]["auroc"]["low"] > 0 or figures["difference"]["f1"]["low"] > 0
        parts.append("saved" if sure else "saved, though a gain as small may be chance")
    else:
        parts.append("no better on the held-out labels: the judge stays")
    if n < FEW:
        parts.append(f"{n} labels to measure on are few: the intervals are wide")
    return "; ".join(parts)


def _save(path, recipe: str, recipe_hash: str, before: FactJudge, after: FactJudge, figures, labels) -> None:
    earlier = read_lock(path)
    write_lock(path, {
        "task": after.spec.name, "recipe": recipe, "lm_id": after.writer.lm_id, "program_id": after.program_id,
        "source_id": before.source_id, "state": program_state(after.program),
        "compiled_for": {"recipe_hash": recipe_hash, "labels": labels}, "measured": figures,
        "took_the_place_of": earlier.document["program_id"] if earlier else None,
    })  # fmt: skip


def enough(document: dict[str, Any]) -> bool:
    return all(j["enough"] for j in document["judges"])


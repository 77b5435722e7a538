"""`tokenrec eval`: judge what is stored with the present gates, match human labels, estimate rates. No LM is asked."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from tokenrec.dataset.load import load_dataset
from tokenrec.errors import InputError
from tokenrec.evidence.agreement import agreement
from tokenrec.evidence.audited import Sample, load_sample
from tokenrec.evidence.breakdown import LEAST, SLICES, Basis, basis_of, by_output, by_slice, by_type, rates_of, slicer
from tokenrec.evidence.calibrating import calibrate_task, promises
from tokenrec.evidence.earlier import earlier_programs
from tokenrec.evidence.labels import Labels, matched_labels, read_labels
from tokenrec.evidence.quality import quality, reasons, strata, worst
from tokenrec.evidence.rates import Rate, verdict
from tokenrec.evidence.texts import AFTER, BEFORE, FLAGS, TaskTexts, doubt_of, open_rates, task_texts
from tokenrec.gates.build import make_judge
from tokenrec.generate.fact_judge import measures, texts_to_judge, unheard
from tokenrec.generate.judging import judge_all
from tokenrec.generate.scorers import fact_judge, open_scorers
from tokenrec.ids import canonical_json
from tokenrec.recipe.load import LoadedRecipe, task_order
from tokenrec.recipe.tasks import Task
from tokenrec.store import completions as store
from tokenrec.store.audits import doubled_of, foreign_labels, labels_of, save_audits
from tokenrec.store.store import open_store
from tokenrec.tasks.program import saved_weights
from tokenrec.tasks.spec import TaskSpec, task_spec

MANY_SKIPPED = 0.05  # of the texts that were shown: above it, the report says that rates may be off
NOT_YET = "{}: nothing is written yet. run: tokenrec compile {}"


@dataclass
class Evaluation:
    """The texts of every task, the labels and what is to be said about them."""

    texts: dict[str, TaskTexts]
    labels: Labels
    notes: list[str] = field(default_factory=list)
    samples: dict[str, Sample] = field(default_factory=dict)  # by task; what `tokenrec audit` drew
    programs: dict[str, dict[str, str] | None] = field(default_factory=dict)  # by task; the row of `current`
    worst: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by task; accepted texts that look bad
    slices: dict[str, Callable[[str], str]] = field(default_factory=dict)  # by task; subject → its slice
    earlier: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by task; rates of earlier programs
    agreement: dict[str, Any] | None = None  # of two people's labels
    promises: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by task; of accepted texts
    quotes: dict[tuple[str, str, str], list[str] | None] = field(default_factory=dict)  # of unsupported sentences
    compiled: set[str] = field(default_factory=set)  # tasks whose LM judge was compiled on half of their labels
    used: int = 0
    gone: int = 0


def gather(loaded: LoadedRecipe, bare: bool = False) -> Evaluation:
    """Texts as the present gates see them, with labels; verdicts and audits in the store are brought up to date.

    bare: nothing written yet is fine where no limit asks for it, and noted.

    Raises InputError when nothing was written yet, the labels file has a fault, or a task changed since it wrote.
    """
    recipe = loaded.recipe
    labels = Labels({})
    if recipe.eval.labels:
        labels = read_labels(loaded.folder / recipe.eval.labels, recipe.tasks, recipe.eval.labels)
    unwritten, bare = NOT_YET.format(recipe.name, loaded.path), bare and not recipe.eval.fail_if
    if not loaded.project.store.is_file():
        if bare:
            return Evaluation({}, labels, notes=[unwritten])
        raise InputError(unwritten)
    db = open_store(loaded.project.store)
    try:
        order = task_order(recipe)
        current = {name: store.current(db, recipe.name, name) for name in order}
        if not any(current.values()):
            if bare:
                return Evaluation({}, labels, notes=[unwritten])
            raise InputError(unwritten)
        found = Evaluation({name: TaskTexts(name) for name in order}, labels)
        dataset = load_dataset(recipe, loaded.folder)
        for name, row in current.items():
            if row is None:
                found.notes.append(NOT_YET.format(name, loaded.path))
                continue
            spec = task_spec(recipe, name)
            if _judge(db, loaded, spec, row, dataset):
                found.notes.append(f"{name}: judged again, since gates or texts changed after the last compile")
            saved = store.load_program(db, row["program_id"], row["lm_id"])
            doubt = doubt_of(spec, saved_weights(saved, spec)) if saved is not None else None
            found.notes += _unheard(db, loaded, spec, row, found.compiled)
            found.texts[name] = task_texts(db, recipe.name, name, row["program_id"], row["lm_id"], doubt)
        rows, found.gone = matched_labels(labels, found.texts.values())
        found.used = len(rows)
        stored = labels_of(db, recipe.name)
        differ = [r for r in rows if (was := stored.get((r["task"], r["subject"], canonical_json(r["output"]))))
                  and was["label"] != r["label"]]  # fmt: skip
        if differ:
            said = f"{len(differ)} labels in the store differed from {recipe.eval.labels}; the file's are kept"
            found.notes.append(said)
        save_audits(db, recipe.name, rows)
        stored = labels_of(db, recipe.name)
        found.quotes = {key: row["unsupported"] for key, row in stored.items()}
        for name, texts in found.texts.items():
            found.samples[name] = load_sample(db, recipe.name, texts, stored)
            found.programs[name] = store.current(db, recipe.name, name)
            found.worst[name] = worst(db, texts, stored)
            task = recipe.tasks[name]
            if task.for_ in SLICES:
                found.slices[name] = slicer(dataset, task.for_)
            if row := current[name]:
                key = (row["program_id"], row["lm_id"])
                found.earlier[name] = earlier_programs(db, task_spec(recipe, name), *key, stored, judged_kinds(task))
            found.notes += _stale(db, loaded, name, current[name], found.samples[name])
            found.notes += _skipped(name, found.samples[name])
            found.promises[name] = promises(loaded, name, current[name])
            again = f"Label some and run: tokenrec eval {loaded.path} --recalibrate"
            found.notes += [f"{name}.{p['output']}: its threshold is stale, {p['stale']}. {again}"
                            for p in found.promises[name] if p["stale"]]  # fmt: skip
        found.agreement = agreement(doubled_of(db, recipe.name))
    finally:
        db.conn.close()
    if found.gone:
        found.notes.append(f"{found.gone} labels are of texts that are no longer there; they are not used")
    if labels.empty:
        found.notes.append(f"{labels.empty} lines of {recipe.eval.labels} have no label yet")
    return found


def _stale(db, loaded: LoadedRecipe, task: str, row: dict[str, str] | None, sample: Sample) -> list[str]:
    """What labels there are that no longer measure the task's texts."""
    again = f"run: tokenrec audit {loaded.path} --task {task}"
    said = [f"{task}: {sample.stale}. {again}"] if sample.stale else []
    if row and not sample.drawn:
        other = foreign_labels(db, loaded.recipe.name, task, row["program_id"])
        if other:
            said.append(f"{task}: {other} labels in the store are of texts that another prompt or model wrote; "
                        f"they are stale and not used. {again}")  # fmt: skip
    if 0 < len(sample.labels) < sample.drawn:
        said.append(f"{task}: {len(sample.labels)} of the {sample.drawn} drawn texts have a label. {again}")
    return said


def _unheard(db, loaded: LoadedRecipe, spec: TaskSpec, row: dict[str, str], compiled: set[str]) -> list[str]:
    """How many texts a language model was to judge and has not answered about; notes in `compiled` that it learnt."""
    said = []
    for output in (name for name, o in spec.outputs.items() if o.judge == "lm"):
        asked = fact_judge(loaded.project, loaded.recipe, spec.name, output)
        prompts = list(texts_to_judge(db, spec.recipe, spec, output, row["program_id"], row["lm_id"]))
        if asked.compiled and spec.name not in compiled:
            compiled.add(spec.name)
            said.append(f"{spec.name}: its judge was compiled on half of the labels; gates are held beside the others")
        left, bad = unheard(db, asked, prompts)
        if left or bad:
            broken = f", {bad} of them with an answer that can't be read" if bad else ""
            said.append(f"{spec.name}.{output}: the judge {asked.writer.name} has nothing to say of {left + bad} of "
                        f"{len(prompts)} texts{broken}. run: tokenrec compile {loaded.path}")  # fmt: skip
    return said


def _skipped(task: str, sample: Sample) -> list[str]:
    """That people left out so many texts that it may matter which."""
    shown = len(sample.labels) + len(sample.skipped)
    if not shown or len(sample.skipped) <= MANY_SKIPPED * shown:
        return []
    where = [f"{n} of {name}" for s in strata(sample) for name, n in [(s["stratum"], s["skipped"])] if n]
    return [f"{task}: {len(sample.skipped)} of the {shown} texts that were shown have been skipped "
            f"({'; '.join(where)}). Its rates hold if these are like the others; the hard ones seldom are"]  # fmt: skip


def judged_kinds(task: Task) -> list[str]:
    """What a text of the task may be called: no hallucination where none of its outputs is grounded."""
    return [k for k in FLAGS if k == "noise" or any(o.ground != "none" for o in task.outputs.values())]


def _judge(db, loaded: LoadedRecipe, spec: TaskSpec, row: dict[str, str], dataset) -> bool:
    """Bring the verdicts of the task's current program up to date; whether they were stale."""
    pid, lm_id = row["program_id"], row["lm_id"]
    for stored in store.completions_of(db, spec.recipe, spec.name, pid, lm_id):
        for output, chances in (stored.probabilities or {}).items():
            if set(chances) != set(spec.choices.get(output, ())):
                raise InputError(
                    f"{loaded.path}: tasks.{spec.name}: its choices changed after the texts were written. "
                    f"run: tokenrec compile {loaded.path}"
                )
        break  # one program, one vocabulary
    saved = store.load_program(db, pid, lm_id)
    if saved is None:  # another LM wrote with this program since: its calibration is not this one's
        return False
    weights = saved_weights(saved, spec)
    scorers = open_scorers(loaded.project, loaded.recipe, spec, db)
    judge = make_judge(loaded.recipe, spec, dataset, loaded.project.root, scorers)
    gate_id = judge_all(db, spec.recipe, spec, weights, judge, pid, lm_id)
    if gate_id == row["gate_id"]:
        return False
    store.set_current(db, spec.recipe, spec.name, pid, lm_id, gate_id)
    return True


def document(loaded: LoadedRecipe, found: Evaluation) -> dict[str, Any]:
    """The JSON document of `tokenrec eval --json`."""
    recipe = loaded.recipe
    rated = {
        name: basis_of(texts, found.labels, _sample(found, name), found.slices.get(name))
        for name, texts in found.texts.items()
    }
    tasks = [_task(recipe, found, name, basis) for name, basis in rated.items()]
    return {
        "kind": "eval",
        "schema_version": 1,
        "recipe": recipe.name,
        "tasks": tasks,
        "by_type": _plain(by_type([(name, basis, recipe.tasks[name]) for name, basis in rated.items()])),
        "least": LEAST,
        "agreement": found.agreement,
        "failed_limits": [limit for t in tasks for limit in _limits(recipe.eval.fail_if, t)],
        "labels": {
            "file": recipe.eval.labels, "read": len(found.labels), "used": found.used, "gone": found.gone,
            "without_label": found.labels.empty,
        },
        "notes": found.notes,
        "previous": None,
    }  # fmt: skip


def _sample(found: Evaluation, name: str) -> Sample | None:
    """The sample that a task's rates rest on; None where they rest on a file."""
    sample = found.samples.get(name) or Sample()
    return sample if _basis(found.texts[name], found.labels, sample)["source"] == "sample" else None


def _task(recipe, found: Evaluation, name: str, basis: Basis) -> dict[str, Any]:
    task, texts, labels = recipe.tasks[name], found.texts[name], found.labels
    kinds, sample = judged_kinds(task), _sample(found, name)
    known = _known(texts, labels, sample)
    # what a judge was compiled on says nothing of how good it is
    unlearnt = {k: v for k, v in known.items() if name not in found.compiled or measures(name, k[0])}
    row = found.programs.get(name)
    slice_of = found.slices.get(name)
    return {
        "task": name,
        "n": texts.n,
        "malformed_rate": texts.malformed / texts.n if texts.n else None,
        "malformed_rate_before": texts.malformed_before / texts.n if texts.n else None,
        **_plain(rates_of(basis, kinds, 0)),
        "open": open_rates(texts),
        "texts": {BEFORE: len(texts.before), AFTER: len(texts.after)},
        "basis": _basis(texts, labels, found.samples.get(name) or Sample()),
        "program": row and {key: row[key] for key in ("program_id", "lm_id", "gate_id")},
        "gates": {kind: quality(texts, kind, unlearnt) if kind in kinds else None for kind in FLAGS},
        "reasons": reasons(texts, known),
        "strata": strata(sample) if sample else [],
        "worst": found.worst.get(name, []),
        "by_slice": _plain(by_slice(basis, slice_of, task.for_, kinds)) if slice_of else [],
        "by_output": _plain(by_output(basis, task)),
        "earlier_programs": _plain(found.earlier.get(name, [])),
        "promises": found.promises.get(name, []),
    }


def _plain(value: Any) -> Any:
    """Rates as JSON has them."""
    if isinstance(value, Rate):
        return asdict(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def recalibrate(loaded: LoadedRecipe) -> list[dict[str, Any]]:
    """Fit the judges of all tasks to the labels that there are, and set the thresholds of what is promised.

    Writes programs/calibrated/<recipe>/<task>.json; returns a row an output: what was fitted, gained and promised.
    Raises InputError when no output of the recipe has a judge, or none of its tasks' texts has a label.
    """
    if not any(o.judge != "rules" for t in loaded.recipe.tasks.values() for o in t.outputs.values()):
        raise InputError(f"{loaded.path}: no output has a judge to calibrate. write judge: detector at a text output")
    found = gather(loaded)
    db = open_store(loaded.project.store)
    try:
        rows = []
        for name, texts in found.texts.items():
            known = _known(texts, found.labels, _sample(found, name))
            said = {key: (*label, found.quotes.get((name, *key))) for key, label in known.items()}
            if found.programs.get(name) and said:
                rows += calibrate_task(db, loaded, texts, said, found.programs[name])
    finally:
        db.conn.close()
    if not rows:
        raise InputError(f"no text with a judge has a label. run: tokenrec audit {loaded.path}")
    return rows


def _known(texts: TaskTexts, labels: Labels, sample: Sample | None) -> dict[tuple[str, str], tuple[str, float]]:
    """The labels that the task's rates rest on, by text, each with the number of texts that it stands for."""
    if sample:
        weights = sample.weights()
        return {key: (label, weights[key]) for key, label in sample.labels.items()}
    found = ((t.key, labels.find(t)) for t in texts.distinct()) if len(labels) else ()
    return {key: (label.label, 1 / (label.p or 1.0)) for key, label in found if label}


def _basis(texts: TaskTexts, labels: Labels, sample: Sample) -> dict[str, Any]:
    """Which labels the task's rates rest on. A sample that is not finished gives way to a labels file."""
    from_file = [label for t in texts.distinct() if (label := labels.find(t))] if len(labels) else []
    if sample.labels and (sample.finished or not from_file):
        source, blind = "sample", [row["blind"] for row in sample.rows.values()]
    else:
        source = None if not from_file else "file" if from_file[0].p is None else "file_with_p"
        blind = [label.blind for label in from_file]
    return {
        "source": source, "labelled": len(blind), "drawn": sample.drawn, "stale": sample.stale,
        "blind": blind.count(True), "in_sight": blind.count(False), "skipped": len(sample.skipped),
    }  # fmt: skip


def _limits(fail_if: dict[str, str], task: dict[str, Any]) -> list[dict[str, Any]]:
    """The limits that one task does not keep, or is not known to keep. Each task is held to every limit."""
    broken = []
    for key, limit in fail_if.items():
        name = key.removesuffix("_before")
        if name == "malformed_rate":  # counted, not estimated
            value = task[key]
            got = {"value": value, "low": value, "high": value}
        elif task[name] is None:  # grounding none: not judged
            continue
        else:
            rate = task[name][BEFORE if key.endswith("_before") else AFTER]
            got = {k: rate[k] for k in ("value", "low", "high")}
        answer = verdict(float(limit.strip().lstrip(">")), got["low"], got["high"])
        if answer != "fine":
            broken.append({"task": task["task"], "limit": f"{key} {limit.strip()}", **got, "verdict": answer})
    return broken

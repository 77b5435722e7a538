"""The table of optimisers: each takes the search's `Work`, drives DSPy, and returns the programs it ended with.

Whatever a program is asked goes through the desk, which knows every program that was scored, so that a search that is
stopped in the middle still has a result. DSPy's own limits are set far beyond the search's: they count other things
than LM calls (dspy #10245).
"""

import importlib
import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from tokenrec.errors import InputError
from tokenrec.recipe.models import Compile, Recipe
from tokenrec.tasks.spec import TaskSpec

IDLE = 6  # proposals a wanted program, after which GEPA is stopped: a weak reflector may repeat itself for ever


@dataclass
class Work:
    """What an optimiser works with. `metric(example, prediction, trace)` is the completion score in [0, 1].

    `worked`: the recipe's own examples. `train`: further ones with what the incumbent wrote. `val`: what every program
    is scored on. `feedback`: GEPA's metric. `typical`: a good score of the incumbent's. `whole()`: challengers scored.
    """

    student: Any
    worked: list
    train: list
    val: list
    metric: Callable
    feedback: Callable
    typical: float
    options: Compile
    reflector: Any  # compiler.reflector.Reflector, None where the optimiser proposes no instructions
    stopped: Callable[[], bool]
    whole: Callable[[], int]
    name: str
    demonstrates: bool = True  # whether a whole answer can be shown to the program's predictors as a demonstration


def demonstrates(spec: TaskSpec, program) -> bool:
    """Whether every predictor is asked what the task is asked, so that answers can be its demonstrations."""
    if not spec.task.use:
        return True
    told = {r.name for r in spec.inputs}
    return all(
        set(p.signature.input_fields) <= told and set(spec.outputs) <= set(p.signature.output_fields)
        for p in program.predictors()
    )


def why_not_optimized(spec: TaskSpec, program, optimizer: str) -> str:
    """Why an optimiser can't search a `use:` module; empty when it can."""
    use, n = spec.task.use, len(program.named_predictors())
    if not use:
        return ""
    if not n:
        return f"{use} has no DSPy predictor, whose instruction could be another"
    if optimizer == "reanchor":
        return f"reanchor reads the likelihoods of write: tasks; {use} makes its own of them"
    if optimizer == "instructions" and n > 1:
        return f"{use} has {n} predictors, and an instruction does not say which it is for: use gepa or mipro"
    if optimizer == "bootstrap_random" and not demonstrates(spec, program):
        return (
            f"{use} asks its predictors other questions than the task's, so that whole answers can't be their "
            "demonstrations: use instructions, gepa or mipro"
        )
    return ""


def instructions(work: Work) -> list:
    """Race the instructions that the recipe gives, each with the incumbent's demonstrations, on the same items."""
    made = []
    for text in work.options.written(work.name):
        candidate = work.student.deepcopy()
        for predictor in candidate.predictors():
            predictor.signature = predictor.signature.with_instructions(text)
        candidate(**work.val[0].inputs())  # its first question is asked about all items
        made.append(candidate)
    return made


def reanchor(work: Work) -> list:
    """ReAnchor: fit the choice weights to the metric from stored probabilities, without one more LM call.

    Fitted on the training items only; what it found is compared with the incumbent's weights on the validation items.
    """
    from dspy.experimental import ReAnchor

    if not hasattr(work.student, "choose"):
        raise InputError(
            f"compile.optimizer reanchor fits how likelihoods are read, and task {work.name} has none: its outputs are "
            "written, or this LM gives no probabilities. Use bootstrap_random, mipro or gepa"
        )
    fitter = ReAnchor(work.metric, num_threads=1, require_cache=False)
    return [fitter.compile(work.student, trainset=work.train)]


def bootstrap_random(work: Work) -> list:
    """Random mixes of the recipe's worked examples and of the incumbent's best-scoring answers as demonstrations."""
    from dspy.teleprompt import BootstrapFewShotWithRandomSearch

    optimizer = BootstrapFewShotWithRandomSearch(
        metric=work.metric, metric_threshold=work.typical, max_bootstrapped_demos=4, max_labeled_demos=12,
        num_candidate_programs=work.options.candidates, num_threads=1, max_errors=10**6,
    )  # fmt: skip
    best = optimizer.compile(
        work.student.deepcopy(), teacher=_teacher(work), trainset=[*work.worked, *work.train], valset=work.val,
        restrict=range(work.options.candidates),
    )  # fmt: skip
    return [best]


def mipro(work: Work) -> list:
    """MIPROv2: instructions proposed by the reflector and bootstrapped demonstrations, mixed by Bayesian search."""
    from dspy.teleprompt import MIPROv2

    class Guarded(MIPROv2):
        """A reflector that can't keep to DSPy's form costs its proposals, not the search."""

        def _propose_instructions(self, program, *args, **kwargs):
            plain = {i: [p.signature.instructions] for i, p in enumerate(program.predictors())}
            for more in ({}, {"data_aware_proposer": False, "fewshot_aware_proposer": False}):
                try:
                    names = ("trainset", "demo_candidates", "view_data_batch_size", "program_aware_proposer",
                             "data_aware_proposer", "tip_aware_proposer", "fewshot_aware_proposer")  # fmt: skip
                    given = {**dict(zip(names, args, strict=True)), **kwargs, **more}
                    found = super()._propose_instructions(program, **given)
                except Exception as error:
                    work.reflector.malformed(error)
                    continue
                return {i: [plain[i][0], *work.reflector.usable(texts[1:], plain[i][0])] for i, texts in found.items()}
            return plain

    optimizer = Guarded(
        metric=work.metric, prompt_model=work.reflector.lm, task_model=work.student.desk.player.lm, auto=None,
        num_candidates=max(work.options.candidates, 2), num_threads=1, max_errors=10**6, metric_threshold=work.typical,
        max_bootstrapped_demos=4 * work.demonstrates, max_labeled_demos=12 * work.demonstrates, verbose=False,
    )  # fmt: skip
    best = optimizer.compile(
        work.student.deepcopy(), teacher=_teacher(work), trainset=[*work.worked, *work.train], valset=work.val,
        num_trials=work.options.candidates, minibatch=False, program_aware_proposer=False,
    )  # fmt: skip
    return [best]


def gepa(work: Work) -> list:
    """GEPA: the reflector reads what moved and why, and rewrites the instruction; better ones stay in the pool."""
    import dspy

    proposed, faults = 0, []

    def told(gold, pred, trace=None, pred_name=None, pred_trace=None):
        try:
            return work.feedback(gold, pred, trace, pred_name, pred_trace)
        except Exception as error:  # GEPA would try again for ever
            faults.append(error)
            raise

    def propose(candidate, reflective_dataset, components_to_update) -> dict[str, str]:
        nonlocal proposed
        proposed += 1
        return work.reflector.propose(candidate, reflective_dataset, components_to_update)

    def enough(state) -> bool:
        wanted = work.options.candidates
        return bool(faults) or work.stopped() or work.whole() >= wanted or proposed >= IDLE * wanted

    optimizer = dspy.GEPA(
        metric=told, max_metric_calls=10**9, reflection_lm=work.reflector.lm, instruction_proposer=propose,
        reflection_minibatch_size=4, num_threads=1, use_merge=False, warn_on_score_mismatch=False, seed=0,
        gepa_kwargs={"stop_callbacks": [enough]},
    )  # fmt: skip
    best = optimizer.compile(work.student.deepcopy(), trainset=work.train, valset=work.val)
    if faults:
        raise faults[0]
    return [best]


def teleprompter(path: str) -> Callable[[Work], list]:
    """Any DSPy teleprompter, `module.path:Class`. It is given what its constructor and `compile` have names for;
    `compile.options` of the recipe goes to its constructor as well."""
    kind = _class_at(path)

    def run(work: Work) -> list:
        lm = work.reflector.lm
        offered = {
            "metric": work.feedback if _five(kind) else work.metric, "prompt_model": lm, "reflection_lm": lm,
            "task_model": work.student.desk.player.lm, "teacher_settings": {}, "num_threads": 1, "max_errors": 10**6,
            "verbose": False,
        }  # fmt: skip
        given = {**_named(kind.__init__, offered), **work.options.options}
        try:
            optimizer = kind(**given)
        except TypeError as error:
            raise InputError(f"compile.optimizer {path}: {error}. Its arguments go under compile.options") from error
        offered = {"trainset": work.train, "valset": work.val, "devset": work.val, "teacher": _teacher(work),
                   "eval_kwargs": {"num_threads": 1, "display_progress": False}}  # fmt: skip
        if _five(kind):
            offered.pop("teacher")
        return [optimizer.compile(work.student.deepcopy(), **_named(kind.compile, offered))]

    return run


TABLE: dict[str, Callable[[Work], list]] = {
    "instructions": instructions, "reanchor": reanchor, "bootstrap_random": bootstrap_random, "mipro": mipro,
    "gepa": gepa,
}  # fmt: skip


class _Proposing:
    """Whether an optimiser may ask the reflector."""

    def __contains__(self, name: str) -> bool:
        return name in ("mipro", "gepa") or ":" in name


PROPOSING = _Proposing()


def optimizer_of(name: str) -> Callable[[Work], list]:
    """The function of an optimiser by its word or import path. Raises InputError."""
    return TABLE[name] if name in TABLE else teleprompter(name)


def options_of(recipe: Recipe, optimizer: str | None = None) -> Compile:
    """The recipe's `compile`, with another optimiser where one is named. Raises InputError when it can't be used."""
    options = recipe.compile
    if optimizer:
        try:
            options = Compile(**{**options.model_dump(exclude={"instructions", "options"}), "optimizer": optimizer,
                                 **({"instructions": options.instructions} if optimizer == "instructions" else {})})
        except ValidationError as error:
            why = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise InputError(f"--optimizer {optimizer}: {why}") from None
    if ":" in options.optimizer:
        _class_at(options.optimizer)
    if options.optimizer == "mipro" and importlib.util.find_spec("optuna") is None:
        raise InputError("compile.optimizer mipro needs optuna. Install it: pip install optuna")
    return options


def _class_at(path: str):
    module, _, name = path.partition(":")
    try:
        kind = getattr(importlib.import_module(module), name)
    except Exception as error:  # a user's module may raise anything
        raise InputError(
            f"compile.optimizer {path} can't be loaded ({type(error).__name__}: {error}). "
            "Write module.path:Class, for instance dspy.teleprompt:COPRO"
        ) from error
    if not (isinstance(kind, type) and callable(getattr(kind, "compile", None))):
        raise InputError(f"compile.optimizer {path} is no DSPy teleprompter: a class with compile(student, trainset)")
    return kind


def _teacher(work: Work):
    made = work.student.deepcopy()
    made._compiled = True  # it teaches with the demonstrations that it has
    return made


def _named(function, offered: dict[str, Any]) -> dict[str, Any]:
    known = inspect.signature(function).parameters
    return {k: v for k, v in offered.items() if k in known}


def _five(kind) -> bool:
    """GEPA's kind, whose metric takes five arguments."""
    return "reflection_lm" in inspect.signature(kind.__init__).parameters

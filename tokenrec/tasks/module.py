"""The DSPy module of an inline task (`write:` + `outputs:`), and the loading of `use:` modules."""

import hashlib
import importlib.util
import logging
from pathlib import Path
from typing import Any, Literal

import dspy
from dspy.experimental import Choice

from tokenrec.errors import InputError
from tokenrec.lm.writer import Writer
from tokenrec.tasks.lexicon import lexicon_schema
from tokenrec.tasks.spec import TaskSpec, examples

logging.getLogger("dspy.predict.predict").setLevel(logging.ERROR)  # it warns of every field that a record lacks


class TaskModule(dspy.Module):
    """One or two predictors: `choose` for closed outputs that the writer scores, `write` for the rest."""

    instruction = ""  # of a `use:` module that is an inline task but for its words

    def __init__(self, spec: TaskSpec, writer: Writer):
        super().__init__()
        self.spec, self.writer = spec, writer
        # a recording may hold probabilities, which are calibrated as the model's own are
        scored = [o for o in spec.outputs if o in spec.choices and (writer.chooser or writer.replay)]
        written = [o for o in spec.outputs if o not in scored]
        if scored:
            self.choose = dspy.Predict(signature(spec, scored, decisions=True, told=self.instruction))
            self.choose.demos = _demos(spec, scored)
        if written:
            self.write = dspy.Predict(signature(spec, written, decisions=False, told=self.instruction))
            self.write.demos = _demos(spec, written)

    def forward(self, sample: int = 0, **inputs):
        self.writer.meter.check()
        fields: dict[str, Any] = {}
        if hasattr(self, "choose"):
            fields |= dict(self.choose(lm=self.writer.chooser, **inputs).items())
        if hasattr(self, "write"):
            fields |= dict(self.write(config=self._config(sample, inputs), **inputs).items())
        return dspy.Prediction(**fields)

    async def aforward(self, sample: int = 0, **inputs):
        fields: dict[str, Any] = {}
        if hasattr(self, "choose"):
            fields |= dict((await self.choose.acall(lm=self.writer.chooser, **inputs)).items())
        if hasattr(self, "write"):
            fields |= dict((await self.write.acall(config=self._config(sample, inputs), **inputs)).items())
        return dspy.Prediction(**fields)

    def _config(self, sample: int, inputs: dict) -> dict[str, Any]:
        """Decode parameters; a further sample is hotter, so that it differs."""
        task = self.spec.task
        config: dict[str, Any] = {"temperature": task.temperature if sample == 0 else task.further_temperature}
        if task.max_tokens:
            config["max_tokens"] = task.max_tokens
        if self.writer.grammar:
            config["seed"] = sample
            if schema := lexicon_schema(self.spec, inputs):
                config["response_format"] = schema
        return config


def signature(spec: TaskSpec, outputs: list[str], decisions: bool, told: str = "") -> type[dspy.Signature]:
    """The DSPy signature of the task's inputs and the given outputs. `told`: the instruction without write:."""
    fields: dict[str, tuple] = {r.name: (Any, dspy.InputField()) for r in spec.inputs}
    for name in outputs:
        output = spec.outputs[name]
        choices = spec.choices.get(name)
        what = output.describe or name.replace("_", " ")
        kind: Any = {"number": float, "text": str, "tags": list[str]}.get(output.type)
        if choices and decisions:
            kind = Choice[tuple((c, None) for c in choices)]
        elif choices:
            kind = list[Literal[tuple(choices)]] if output.type == "tags" else Literal[tuple(choices)]
        if not decisions:
            what += _limits(output)
        fields[name] = (kind, dspy.OutputField(desc=what))
    return dspy.make_signature(fields, spec.task.write or told)


def _limits(output) -> str:
    said = []
    if output.type == "tags" and output.max:
        said.append(f"at most {output.max:g}" + (", or none" if output.or_none else ""))
    if output.words_each:
        said.append("each a single word" if output.words_each == 1 else f"each of at most {output.words_each} words")
    if output.type == "number" and output.min is not None and output.max is not None:
        said.append(f"from {output.min:g} to {output.max:g}")
    if output.max_words:
        said.append(f"at most {output.max_words} words")
    if output.type == "text" and output.ground == "closed":
        said.append("only what the inputs say")
    if output.or_unknown:
        said.append("unknown, where you do not know")
    if output.lexicon:
        said.append(
            f"put together from entries of {', '.join(output.lexicon.from_)} and: {', '.join(output.lexicon.words)}"
        )
    return f" ({'; '.join(said)})" if said else ""


def _demos(spec: TaskSpec, outputs: list[str]) -> list[dspy.Example]:
    names = [r.name for r in spec.inputs] + outputs
    found = []
    for example in examples(spec):
        demo = {k: example[k] for k in names if k in example}
        if any(o in demo for o in outputs):
            found.append(dspy.Example(**demo).with_inputs(*[r.name for r in spec.inputs if r.name in demo]))
    return found


def built_in(name: str):
    """The module programs/<name>.py. Raises ImportError where there is none."""
    folder = Path(__file__).parents[1] / "programs"
    folder = folder if folder.is_dir() else Path(__file__).parents[2] / "programs"  # a checkout
    if not (folder / f"{name}.py").is_file():
        raise ImportError(f"there is no built-in program {name}")
    return _imported(folder / f"{name}.py")


def _imported(path: Path):
    loader = importlib.util.spec_from_file_location(f"tokenrec_program_{path.stem}", path)
    module = importlib.util.module_from_spec(loader)
    loader.loader.exec_module(module)
    return module


def used_class(use: str, root: Path | None) -> tuple[type[dspy.Module], Path]:
    """The user's or a built-in DSPy module that `use:` names, and its file. Raises InputError."""
    where, _, name = use.rpartition(":" if ":" in use else ".")
    try:
        if where.endswith(".py"):
            path = (Path(root or ".") / where).resolve()
            module = _imported(path)
        else:
            module = built_in(where)
            path = Path(module.__file__)
        kind = getattr(module, name)
    except Exception as error:  # a user's file may raise anything
        raise InputError(f"use: {use} can't be loaded: {type(error).__name__}: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, dspy.Module)):
        raise InputError(f"use: {use} is no dspy.Module. Write a class that takes (spec, writer)")
    return kind, path


def load_used(spec: TaskSpec, writer: Writer, root: Path | None, use: str | None = None):
    """The module of `use:` (the task's unless given), made from (spec, writer). What the recipe says under `with:` is
    checked by the class's own pydantic model `Parameters`; a class without one reads `spec.task.with_` as it likes."""
    use = use or spec.task.use
    kind, path = used_class(use, root)
    try:
        made = kind(spec, writer)
        made.source_hash = hashlib.sha256(path.read_bytes()).hexdigest()  # edited code is another program
        return made
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"use: {use} can't be made from (spec, writer): {reason}") from error

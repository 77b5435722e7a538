"""A task of a recipe with everything looked up: inputs, outputs, vocabularies."""

from dataclasses import dataclass
from typing import Any

from tokenrec.ids import content_id
from tokenrec.recipe.models import Recipe
from tokenrec.recipe.outputs import Output
from tokenrec.recipe.refs import LIKED, choices_of, input_names, own_inputs, ref
from tokenrec.recipe.tasks import Task


@dataclass(frozen=True)
class InputRef:
    """One input of a prompt: a field of the record, another task's output, or one of refs.own_inputs."""

    name: str  # the field's name in the signature
    field: str | None = None
    task: str | None = None
    output: str | None = None


@dataclass(frozen=True)
class TaskSpec:
    recipe: str
    name: str
    task: Task
    choices: dict[str, list[str]]  # closed outputs only
    inputs: tuple[InputRef, ...]

    @property
    def subject(self) -> str:
        return self.task.for_

    @property
    def kind(self) -> str:
        """What the store and exports call it: invented items are `synthetic` for ever, never a user or an item."""
        return "synthetic" if self.task.augment else self.task.for_

    @property
    def outputs(self) -> dict[str, Output]:
        return self.task.outputs

    def decode(self) -> dict:
        """The decode parameters that belong to a completion's identity."""
        task = self.task
        usual = max(task.temperature, 0.7) == task.further_temperature
        further = {} if usual else {"further": task.further_temperature}
        return {"temperature": task.temperature, "max_tokens": task.max_tokens, **further}


HISTORY = LIKED


def task_spec(recipe: Recipe, name: str) -> TaskSpec:
    """Look up everything that task `name` refers to."""
    task = recipe.tasks[name]
    refs = [_ref(text, called) for text, called in zip(task.inputs, input_names(task), strict=True)]
    refs += [InputRef(own) for own in own_inputs(task)]
    choices = {o: choices_of(recipe, name, o) for o, out in task.outputs.items() if out.choices}
    return TaskSpec(recipe.name, name, task, choices, tuple(refs))


def _ref(text: str, name: str) -> InputRef:
    found = ref(text)
    return InputRef(name, task=found[0], output=found[1]) if found else InputRef(name, field=text)


def input_hash(inputs: dict) -> str:
    """What a prompt was made from; equal inputs share a completion."""
    return content_id(inputs)


def examples(spec: TaskSpec) -> list[dict[str, Any]]:
    """The recipe's worked examples as demos; a user task's history goes by the name `liked`."""
    return [{HISTORY if k == "history" else k: v for k, v in e.items()} for e in spec.task.examples]

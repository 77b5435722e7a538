"""A task of a recipe with everything looked up: inputs, outputs, vocabularies."""

from dataclasses import dataclass

from tokenrec.ids import content_id
from tokenrec.recipe.models import Output, Recipe, Task
from tokenrec.recipe.refs import choices_of


@dataclass(frozen=True)
class InputRef:
    """One input of a prompt: a field of the record, another task's output, or the user's history."""

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
    def outputs(self) -> dict[str, Output]:
        return self.task.outputs

    def decode(self) -> dict:
        """The decode parameters that belong to a completion's identity."""
        return {"temperature": self.task.temperature, "max_tokens": self.task.max_tokens}


HISTORY = "liked"


def task_spec(recipe: Recipe, name: str) -> TaskSpec:
    """Look up everything that task `name` refers to."""
    task = recipe.tasks[name]
    refs = [_ref(text, task) for text in task.inputs]
    if task.for_ == "user":
        refs.append(InputRef(HISTORY))
    choices = {o: choices_of(recipe, name, o) for o, out in task.outputs.items() if out.choices}
    return TaskSpec(recipe.name, name, task, choices, tuple(refs))


def _ref(text: str, task: Task) -> InputRef:
    if not text.startswith("$"):
        return InputRef(text, field=text)
    other, output = text[1:].split(".")
    plain = [t for t in task.inputs if not t.startswith("$")]
    taken = output in plain or output in task.outputs
    return InputRef(f"{other}_{output}" if taken else output, task=other, output=output)


def input_hash(inputs: dict) -> str:
    """What a prompt was made from; equal inputs share a completion."""
    return content_id(inputs)

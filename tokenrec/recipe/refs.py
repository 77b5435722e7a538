"""What the tasks of a recipe refer to: `$task.output`, vocabularies, and the order that follows."""

import re
from graphlib import TopologicalSorter

from tokenrec.errors import InputError
from tokenrec.recipe.models import Recipe
from tokenrec.recipe.tasks import Task

REF = re.compile(r"\$([A-Za-z]\w*)\.([A-Za-z]\w*)")
LIKED, SAID, STYLE = "liked", "said", "style"  # what prompts show beside `inputs`: items, sentences, how to write


def ref(text: str) -> tuple[str, str] | None:
    """(task, output) of `$task.output`, None for a plain field."""
    match = REF.fullmatch(text)
    return (match[1], match[2]) if match else None


def input_names(task: Task) -> list[str]:
    """What the prompt calls each of `inputs`: `taste` for `$flavour.taste`, or `flavour_taste` where that is taken."""
    plain = [text for text in task.inputs if not text.startswith("$")]
    outputs = [found[1] for text in task.inputs if (found := ref(text))]
    names = []
    for text in task.inputs:
        found = ref(text)
        taken = found and (found[1] in plain or found[1] in task.outputs or outputs.count(found[1]) > 1)
        names.append(text if not found else "_".join(found) if taken else found[1])
    return names


def own_inputs(task: Task) -> list[str]:
    """What the prompt shows beside `inputs`, by the names it goes by."""
    said = task.evidence and task.for_ == "item"
    return [LIKED] * (task.for_ != "item") + [SAID] * bool(said) + [STYLE] * bool(task.styles)


def needs(task: Task) -> list[str]:
    """The tasks whose tokens this task's prompt shows, in order of mention."""
    shown = [*task.inputs, *task.shown]
    return list(dict.fromkeys(found[0] for text in shown if (found := ref(text))))


def task_order(recipe: Recipe) -> list[str]:
    """Names of all tasks, each after the tasks it reads; otherwise in file order.

    Raises graphlib.CycleError when tasks read each other in a circle (load_recipe refuses that).
    """
    names = list(recipe.tasks)
    sorter = TopologicalSorter({n: [d for d in needs(t) if d in recipe.tasks] for n, t in recipe.tasks.items()})
    sorter.prepare()
    order, ready = [], []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=names.index)
        order.append(ready.pop(0))
        sorter.done(order[-1])
    return order


def choices_of(recipe: Recipe, task: str, output: str) -> list[str]:
    """The closed vocabulary of `task.output`, following `$task.output.choices` to its list.

    Raises InputError when a reference leads nowhere, to an open output, or round in a circle.
    """
    trail = []
    while (task, output) not in trail:
        trail.append((task, output))
        found = recipe.tasks[task].outputs.get(output) if task in recipe.tasks else None
        if found is None:
            raise InputError(f"{task}.{output} is no output of this recipe. name one that is")
        if isinstance(found.choices, list):
            return found.choices
        if found.choices is None:
            raise InputError(f"{task}.{output} has no choices. refer to tags or a choice that has")
        task, output = ref(found.choices.removesuffix(".choices"))
    raise InputError(" → ".join(".".join(t) for t in [*trail, (task, output)]) +
                     " is a circle of choices. write one of them as a list")


def item_columns(recipe: Recipe) -> tuple[list[str], list[str]]:
    """(fields that are text, fields that are facts) of the items that the recipe uses."""
    file, used = recipe.data.items, []
    for task in recipe.tasks.values():
        used += [f for f in task.inputs if task.for_ == "item" and not f.startswith("$")]
        used += [*task.shown, *(task.evidence.of if task.evidence else [])]
    used = [f for f in used if not f.startswith("$")]
    text = [*file.text, *([file.name] if file.name else [])]
    extra = [file.where] if file.where else []
    # what is no text is a fact: numbers become numbers
    return text, [c for c in dict.fromkeys([*file.facts, *used, *extra]) if c not in text]

"""Worked examples must obey the task that they show: a small model copies what it sees."""

import re
from collections.abc import Iterator
from typing import Any

from tokenrec.errors import InputError
from tokenrec.recipe.explain import nearest
from tokenrec.recipe.models import Recipe
from tokenrec.recipe.outputs import Output
from tokenrec.recipe.refs import choices_of, input_names, own_inputs

_NO_SPACES = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")  # scripts whose words are not told by spaces


def check_examples(recipe: Recipe, name: str, broken: set[str]) -> Iterator[tuple[tuple, str]]:
    """Faults of a task's examples as (path, text): unknown fields, missing or impossible outputs.

    Keys are the names that the prompt shows: the task's inputs (`taste` for `$flavour.taste`),
    `liked` (or `history`) for a user's items, and all of its outputs. Inputs may be left out, but not all of them.
    """
    task = recipe.tasks[name]
    inputs = [*input_names(task), *own_inputs(task), *(["history"] if task.for_ == "user" else [])]
    for i, example in enumerate(task.examples):
        at = ("tasks", name, "examples", i)
        for key in example:
            if key not in inputs and key not in task.outputs:
                yield (*at, key), (
                    f"is no input or output of {name}, which has {', '.join([*inputs, *task.outputs])}. "
                    f"{nearest(key, [*inputs, *task.outputs])} Or correct the name there"
                )
        if not set(inputs) & set(example):
            yield at, f"shows no input. add one of {', '.join(inputs)}"
        for key, output in task.outputs.items():
            if key not in example:
                yield at, f"lacks the output {key}. add it"
                continue
            try:
                choices = choices_of(recipe, name, key) if output.choices else []
            except InputError:
                continue  # reported where the choices are declared, or their task is broken
            for path, text in _value(output, choices, example[key]):
                yield (*at, key, *path), text


def _value(output: Output, choices: list[str], value: Any) -> Iterator[tuple[tuple, str]]:
    if output.type == "tags":
        if not isinstance(value, list):
            yield (), "must be a list of tags. write [a, b]"
            return
        for i, tag in enumerate(value):
            if output.words_each:
                if not isinstance(tag, str) or not tag.strip():
                    yield (i,), f"{tag!r} is no word. put it in quotes"
                elif not _NO_SPACES.search(tag) and len(tag.split()) > output.words_each:
                    yield (i,), f'"{tag}" has more words than words_each, {output.words_each}. shorten it'
            elif tag not in choices:
                yield (i,), f'"{tag}" is not among the choices. {nearest(tag, choices)}'
            if tag in value[:i]:
                yield (i,), f"{tag} is given twice. remove one"
        least = 0 if output.or_none else max(1, int(output.min or 0))
        if len(value) < least and not (output.or_none and not value):
            yield (), f"has {len(value)} tags, and at least {least} are wanted. add tags, or write or_none: true"
        if output.max is not None and len(value) > output.max:
            yield (), f"has {len(value)} tags, and max is {output.max:g}. keep the best {output.max:g}"
    elif output.type == "choice":
        if value not in choices:
            yield (), f'"{value}" is not among the choices. {nearest(value, choices)}'
    elif output.type == "number":
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            yield (), f'"{value}" is no number. write one without quotes'
        elif output.max is not None and value > output.max:
            yield (), f"{value:g} is above max ({output.max:g}). lower it"
        elif output.min is not None and value < output.min:
            yield (), f"{value:g} is below min ({output.min:g}). raise it"
    elif not isinstance(value, str) or not value.strip():
        yield (), "must be a text. put it in quotes"
    elif not _NO_SPACES.search(value):
        words = len(value.split())
        if output.max_words and words > output.max_words:
            yield (), f"has {words} words, and max_words is {output.max_words}. shorten it"
        if words < output.min_words:
            yield (), f"has {words} words, and min_words is {output.min_words}. lengthen it"

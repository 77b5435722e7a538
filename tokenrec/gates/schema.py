"""The shape of an answer: strict pydantic on the raw text decides what is malformed.

Two models from one declaration. `output_model` is the whole contract of a task (vocabulary, limits): it
gives the JSON Schema that an LM is asked for. `shape_model` is what `parse` judges by: keys, types, finite
numbers within bounds. Tags outside the vocabulary, too many tags and texts over `max_words` are well-formed
answers that a reader would throw away, so they are noise (noise/vocabulary, noise/length), not malformed.
Tags in words of the model's own (`words_each:`) have no vocabulary: a tag of too many words is malformed, and
quoted.
"""

import json
import re
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import PydanticCustomError

from ..errors import InputError
from ..recipe.outputs import Output
from ..recipe.tasks import Task
from .text import clip, count_words

MAX_CHARS = 100_000  # of raw text: more than any task writes; bounds what parsing can cost


class Answer(BaseModel):
    """Base of every output model: strict types, no further keys, no NaN."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="null")


class Parsed(NamedTuple):
    """`output` is None when malformed; then `reason` says why and `quote` is verbatim from the raw text."""

    output: dict[str, Any] | None
    reason: str = ""
    quote: str = ""


def vocabulary(task: Task, choices: dict[str, list[str]], field: str) -> list[str]:
    """The choices of one output: the resolved ones where given, else those written in the recipe.

    Raises InputError where `choices: $task.output.choices` was not resolved by the caller.
    """
    found = choices.get(field, task.outputs[field].choices)
    if not isinstance(found, list):
        raise InputError(f"outputs.{field}.choices is {found!r}: resolve it to a list before building the gates")
    return found


def tag_limits(output: Output) -> tuple[int, int | None]:
    """Fewest and most tags: at least one unless `or_none`."""
    fewest = 0 if output.or_none else max(1, int(output.min or 1))
    return fewest, None if output.max is None else int(output.max)


def output_model(task: Task, choices: dict[str, list[str]]) -> type[BaseModel]:
    """The full contract of a task's answer: Literal vocabularies, lengths, word limits, bounds.

    Word limits are checked, not put in the JSON Schema: a decoder that is held to `maxLength` cuts mid-sentence.
    """
    fields = {}
    for name, output in task.outputs.items():
        if output.type in ("tags", "choice"):
            kind: Any = Literal[tuple(vocabulary(task, choices, name))] if output.closed else _tag(output)
            if output.type == "tags":
                fewest, most = tag_limits(output)
                limits = Field(min_length=fewest, max_length=most, json_schema_extra={"uniqueItems": True})
                kind = Annotated[list[kind], limits, AfterValidator(_unique)]
        elif output.type == "text":
            kind = Annotated[str, AfterValidator(_word_limits(output))]
        else:
            kind = Annotated[float, Field(ge=output.min, le=output.max)]
        fields[name] = (kind, Field(description=output.describe or None))
    return create_model("Output", __base__=Answer, **fields)


def shape_model(task: Task) -> type[BaseModel]:
    """What must hold for an answer to be read at all: keys, JSON types, numbers within bounds."""
    return create_model("Shape", __base__=Answer, **{name: (_shape(o), ...) for name, o in task.outputs.items()})


def _shape(output: Output) -> Any:
    if output.type == "tags":
        return list[str] if output.closed else list[_tag(output)]
    return str if output.type in ("choice", "text") else Annotated[float, Field(ge=output.min, le=output.max)]


def parse(model: type[BaseModel], raw: str) -> Parsed:
    """Judge raw text by `model`, strictly. Never raises; cost is bounded by MAX_CHARS and the parser's own depth."""
    if len(raw) > MAX_CHARS:
        return Parsed(None, f"{len(raw):,} characters, more than {MAX_CHARS:,}", raw[:80])
    if not raw.strip():
        return Parsed(None, "empty answer")
    try:
        answer = model.model_validate_json(raw)
    except ValidationError as error:
        return _explain(error, raw)
    except UnicodeEncodeError as error:  # half a surrogate pair cannot be UTF-8
        return Parsed(None, f"not valid unicode: {error.reason}")
    twice = _repeated_key(raw, model)
    if twice:
        return Parsed(None, f"key {twice!r} given twice", twice)
    return Parsed(answer.model_dump())


def _explain(error: ValidationError, raw: str) -> Parsed:
    first = error.errors(include_url=False)[0]
    path = ".".join(str(p) for p in first["loc"])
    if first["type"] == "json_invalid":
        return Parsed(None, f"no valid JSON: {first['ctx']['error']}", _around(first["ctx"]["error"], raw))
    reason = f"{path}: {first['msg']}" if path else first["msg"]
    if first["type"] == "extra_forbidden":
        return Parsed(None, f"{path}: not an output of this task", _verbatim(str(first["loc"][-1]), raw))
    if first["type"] == "missing":
        return Parsed(None, f"{path}: missing", clip(raw, 80))
    value = first.get("input")
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return Parsed(None, clip(reason, 200), _verbatim(shown, raw))


def _verbatim(shown: str, raw: str) -> str:
    shown = clip(shown, 80)
    return shown if shown and shown in raw else clip(raw, 80)


def _around(message: str, raw: str) -> str:
    """The words where the parser stopped ("... at line 1 column 9")."""
    place = re.search(r"line (\d+) column (\d+)", message)
    if not place:
        return clip(raw, 80)
    lines = raw.split("\n")
    line = lines[min(int(place[1]), len(lines)) - 1]
    at = min(int(place[2]), len(line))
    return line[max(0, at - 40) : at + 40] or clip(raw, 80)


def _repeated_key(raw: str, model: type[BaseModel]) -> str | None:
    """pydantic keeps the last of two equal keys; JSON that says two things is no answer."""
    if "\\" not in raw and all(raw.count(f'"{key}"') == 1 for key in model.model_fields):
        return None  # the usual case, seen at a glance
    return _TWICE.decode(raw).get("twice")  # valid by now, and shallow: the model has no nesting


def _pairs(found: list[tuple[str, Any]]) -> dict[str, str]:
    keys = [key for key, _ in found]
    again = [key for i, key in enumerate(keys) if key in keys[:i]] if len(set(keys)) < len(keys) else []
    return {"twice": again[0]} if again else {}


_TWICE = json.JSONDecoder(object_pairs_hook=_pairs)


def _unique(tags: list[str]) -> list[str]:
    if len(set(tags)) != len(tags):
        raise ValueError("a tag is given twice")
    return tags


def _tag(output: Output) -> Any:
    """One tag in words of the model's own."""

    def check(tag: str) -> str:
        n = count_words(tag)
        if not n:
            raise PydanticCustomError("words_each", "a tag without a word")
        if n > output.words_each:
            raise PydanticCustomError("words_each", "{n} words in one tag, at most {most} asked for",
                                      {"n": n, "most": output.words_each})  # fmt: skip
        return tag

    return Annotated[str, AfterValidator(check)]


def _word_limits(output: Output):
    def check(text: str) -> str:
        n = count_words(text)
        if n < output.min_words:
            raise ValueError(f"{n} words, fewer than {output.min_words}")
        if output.max_words and n > output.max_words:
            raise ValueError(f"{n} words, more than {output.max_words}")
        return text

    return check

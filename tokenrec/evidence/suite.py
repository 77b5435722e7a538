"""Suites: labelled cases that the gates are tried on (`kind: suite`). Reading a suite's YAML and its JSONL."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from tokenrec.config import LoadedProject, load_project
from tokenrec.errors import InputError
from tokenrec.ids import canonical_json
from tokenrec.jsonl import in_words, read_lines
from tokenrec.recipe.base import Comparison, Model, Name
from tokenrec.recipe.check import check_outputs
from tokenrec.recipe.explain import explain, nearest
from tokenrec.recipe.models import Recipe
from tokenrec.recipe.outside import file_fault
from tokenrec.recipe.schema import schema_of
from tokenrec.recipe.tasks import Task
from tokenrec.recipe.yamlfile import Document, Problem, raise_problems, read_yaml

LIMITS = {"caught": "<", "false_alarms": ">"}  # fail_if: the sign that each is written with


class SuiteTask(Task):
    """A recipe's task as its cases answer it; of for:, inputs: and write: nothing need be said."""

    for_: Literal["item", "user"] = Field(default="item", alias="for")
    write: str | None = Field(default="", description="The instruction: a text that repeats it is an echo.")
    batch: bool | None = Field(default=None, description="Judge cases of one batch together; as the suite says.")
    catalogue: str | None = Field(
        default=None, description="JSONL of further records, from which the gates learn what can be named."
    )

    @model_validator(mode="after")
    def _whole(self):
        return self


class Suite(Model):
    """The YAML file of a suite; paths are relative to it."""

    kind: Literal["suite"]
    name: Name
    about: str = ""
    cases: list[str] = Field(min_length=1, description="JSONL files, or file.py:function that yields cases.")
    tasks: dict[Name, SuiteTask] = Field(min_length=1)
    batch: bool = Field(default=False, description="Judge the cases of one batch together, as a compile would.")
    fail_if: dict[str, Comparison] = {}
    struck: dict[str, str] = Field(default={}, description="Cases that don't count, by id, each with the reason.")

    @field_validator("fail_if")
    @classmethod
    def _known(cls, value):
        for key in value:
            if key not in LIMITS:
                raise ValueError(f"fail_if knows {', '.join(LIMITS)}; not {key}")
        return value


class Case(Model):
    """One line of a cases file. Without `expect` it is a neighbour: there for its batch, and not scored."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    id: str = Field(min_length=1)
    task: str
    output: Any = Field(description='{"field": ...}, or the text of a task that writes just one.')
    record: dict[str, Any] = {}
    name: str = ""
    expect: Literal["reject", "accept"] | None = None
    kind: str = ""
    why: str = ""
    batch: str = ""
    subject: str = ""
    finish_reason: str = ""
    place: str = ""  # file:line

    @property
    def about(self) -> str:
        """Two cases with one record speak of one subject."""
        return self.subject or (canonical_json([self.name, self.record]) if self.name or self.record else self.id)


@dataclass(frozen=True)
class LoadedSuite:
    suite: Suite
    cases: list[Case]
    records: dict[str, list[dict[str, Any]]]  # by task: of its catalogue file
    missing: str = ""  # why there are no cases, where their source is not on this machine


def load_suite(path: Path | str) -> LoadedSuite:
    """Read and check a suite and its cases.

    Raises InputError with a line for each fault: first those of the YAML, then those of the JSONL files (the first
    ten of a file), `file:line: key: what is wrong. what to do`.
    """
    path = Path(path)
    document, project = read_yaml(path), load_project(path.parent)
    try:
        suite = Suite.model_validate(document.value, strict=True)
    except ValidationError as error:
        raise_problems(document.file, document.problems + explain(error, document, Suite))
        raise  # explain() left nothing to say: a defect
    folder = path.resolve().parent
    raise_problems(document.file, document.problems + list(_faults(suite, document, folder, project)))
    cases: list[Case] = []
    for source in suite.cases:
        try:
            cases += _from_python(source, suite, folder) if ".py:" in source else _from_jsonl(source, suite, folder)
        except FileNotFoundError as error:
            return LoadedSuite(suite, [], {}, str(error))
    _check_ids(suite, cases, document)
    records = {
        name: [record for _, record in read_lines(folder / task.catalogue, task.catalogue, lambda r: r)]
        for name, task in suite.tasks.items()
        if task.catalogue
    }
    return LoadedSuite(suite, cases, records)


def _faults(suite: Suite, document: Document, folder: Path, project: LoadedProject) -> Iterator[Problem]:
    def fault(at: tuple, text: str) -> Problem:
        return Problem(document.line(at), at, text)

    tasks = {}
    for name, task in suite.tasks.items():  # any key of a case's record may be an input
        named = [f for o in task.outputs.values() for f in [*o.not_in, *(o.lexicon.from_ if o.lexicon else [])]]
        tasks[name] = task.model_copy(update={"inputs": [*task.inputs, *named]})
    for name, task in suite.tasks.items():
        for at, text in check_outputs(Recipe.model_construct(tasks=tasks), name, set()):
            yield fault(at, text)
        if task.catalogue and (text := file_fault(task.catalogue, folder, project, f"the suite's folder {folder}")):
            yield fault(("tasks", name, "catalogue"), text)
    for i, source in enumerate(suite.cases):
        file, _, function = source.partition(":") if ".py:" in source else (source, "", "run")
        if not function.isidentifier():
            yield fault(("cases", i), f"{source} names no function. write {file}:cases")
        elif text := file_fault(file, folder, project, f"the suite's folder {folder}"):
            yield fault(("cases", i), text)
    for key, limit in suite.fail_if.items():
        sign, number = limit.strip()[:1], limit.strip()[1:].strip()
        if sign != LIMITS[key] or number.startswith("="):
            yield fault(("fail_if", key), f'"{limit}" is no limit for {key}. write it like "{LIMITS[key]} 0.9"')
        elif not number.replace(".", "", 1).isdigit() or float(number) > 1:
            yield fault(("fail_if", key), f'"{limit}" is no share. it lies between 0 and 1: "{LIMITS[key]} 0.9"')


def _from_jsonl(source: str, suite: Suite, folder: Path) -> list[Case]:
    def parse(found: dict[str, Any]) -> Case:
        return read_case(found, suite)

    lines = read_lines(folder / source, source, parse)
    return [case.model_copy(update={"place": f"{source}:{number}"}) for number, case in lines]


def _from_python(source: str, suite: Suite, folder: Path) -> list[Case]:
    """Cases that a function of the suite's own makes: it is given the suite's folder.

    Raises FileNotFoundError where the function does: its source is not on this machine.
    """
    import importlib.util

    file, _, function = source.partition(":")
    loader = importlib.util.spec_from_file_location(f"tokenrec_cases_{Path(file).stem}", folder / file)
    module = importlib.util.module_from_spec(loader)
    try:
        loader.loader.exec_module(module)
        made = list(getattr(module, function)(folder))
    except FileNotFoundError:
        raise
    except Exception as error:
        raise InputError(f"{source}: {type(error).__name__}: {error}. mend what yields the cases") from error
    cases = []
    for number, found in enumerate(made, 1):
        try:
            cases.append(read_case(found, suite).model_copy(update={"place": f"{source} {number}"}))
        except ValueError as error:
            raise InputError(f"{source}: case {number}: {error}") from error
    return cases


def read_case(found: dict[str, Any], suite: Suite) -> Case:
    """One case. Raises ValueError with what is wrong and what to do."""
    try:
        case = Case.model_validate(found)
    except ValidationError as error:
        raise ValueError(in_words(error, known_keys())) from error
    if case.place:
        raise ValueError(f"place: unknown key. {nearest('place', known_keys())}")
    if case.task not in suite.tasks:
        raise ValueError(f"task: {case.task} is no task of this suite. {nearest(case.task, list(suite.tasks))}")
    if case.expect and not case.kind:
        raise ValueError("lacks kind. say what sort of case it is, such as refusal or paraphrase")
    if case.batch and not together(suite, case.task):
        raise ValueError(f"batch: {case.task} is judged a case at a time. write batch: true there, or remove it here")
    return case


def suite_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a suite."""
    return schema_of(Suite, "A tokenrec suite")


def known_keys() -> list[str]:
    return [key for key in Case.model_fields if key != "place"]


def together(suite: Suite, task: str) -> bool:
    """Whether the cases of a task are judged side by side."""
    own = suite.tasks[task].batch
    return suite.batch if own is None else own


def _check_ids(suite: Suite, cases: list[Case], document: Document) -> None:
    seen: dict[str, str] = {}
    for case in cases:
        if case.id in seen:
            raise InputError(f"{case.place}: id: {case.id} is already used at {seen[case.id]}. give it another")
        seen[case.id] = case.place
    gone = [key for key in suite.struck if key not in seen]
    raise_problems(document.file, [
        Problem(document.line(at), at, f"is no case of this suite. {nearest(at[1], list(seen))}")
        for at in (("struck", key) for key in gone)
    ])  # fmt: skip

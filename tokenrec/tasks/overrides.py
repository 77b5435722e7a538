"""What people wrote in the place of an LM (`overrides:` of a task): a reader's own profile wins over the model's."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tokenrec.gates.schema import output_model
from tokenrec.jsonl import read_lines
from tokenrec.recipe.models import Recipe
from tokenrec.store import completions as store
from tokenrec.tasks.spec import TaskSpec, task_spec

Row = tuple[str, dict[str, Any], dict | None]  # subject, output, raw probabilities


def read_overrides(spec: TaskSpec, folder: Path) -> dict[str, dict[str, Any] | None]:
    """{subject: output, or None where the LM's is to be hidden} of the task's file; the last line of a subject counts.

    Raises InputError with file:line: an output that is not of the task's types and vocabulary.
    """
    if not spec.task.overrides:
        return {}
    model = output_model(spec.task, spec.choices)

    def parse(row: dict) -> tuple[str, dict | None]:
        if set(row) != {"subject", "output"}:
            raise ValueError('needs "subject" and "output", and nothing else')
        if row["output"] is None:
            return str(row["subject"]), None
        try:
            return str(row["subject"]), model.model_validate_json(json.dumps(row["output"])).model_dump()
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            at = ".".join(["output", *map(str, first["loc"])])
            raise ValueError(f"{at}: {first['msg']}. write it as the task {spec.name} would") from error

    return dict(found for _, found in read_lines(folder / spec.task.overrides, spec.task.overrides, parse))


def overridden(rows: Iterable[Row], theirs: dict[str, dict[str, Any] | None]) -> list[Row]:
    """The rows with people's outputs in the place of the LM's, also about subjects that it has not written about."""
    kept = [row for row in rows if row[0] not in theirs]
    return kept + [(subject, output, None) for subject, output in theirs.items() if output is not None]


def told(db, recipe: Recipe, folder: Path, task: str) -> dict[str, dict[str, Any]]:
    """subject → what stands of it today: the task's tokens, people's own outputs in their place."""
    rows = ((subject, output, None) for subject, output in store.tokens(db, recipe.name, task).items())
    return {s: output for s, output, _ in overridden(rows, read_overrides(task_spec(recipe, task), folder))}

"""Compiled programs as JSON under programs/compiled/: reviewable, diffable, said to be stale when they are."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenrec.errors import InputError
from tokenrec.ids import content_id
from tokenrec.recipe.models import Recipe


@dataclass(frozen=True)
class Compiled:
    """A saved program. `source_id` is the id of the recipe's own, uncompiled program that it came from."""

    path: Path
    document: dict[str, Any]

    @property
    def source_id(self) -> str:
        return self.document["source_id"]

    @property
    def state(self) -> dict[str, Any]:
        return self.document["state"]

    @property
    def promoted_on(self) -> str | None:
        """Hash of the data that it won its promotion on; None where it never had to win one."""
        won = self.document.get("promotion")
        return won and won.get("data_hash", self.document["compiled_for"]["data_hash"])

    @property
    def promoted_by(self) -> str | None:
        """Id of the user's own reward that it won by; None where it was our ranker."""
        return (self.document.get("promotion") or {}).get("reward")


def compiled_path(root: Path, recipe: str, task: str, lm_id: str) -> Path:
    """Where the compiled program of a task for an LM lies in the project at `root`."""
    lm = lm_id.replace("/", "-").split("@")[0]
    return root / "programs" / "compiled" / recipe / f"{task}@{lm}.json"


def compiled_for(recipe: Recipe, data_hash: str, reward: str | None = None) -> dict[str, Any]:
    """What a compile chose its programs for; when any of it is another, they are stale.

    Limits, budgets and the search itself are left out: a program that was good yesterday is not worse for them.
    `reward` is `ranking.own.reward_id`.
    """
    parts = {"data", "tasks", "ranker", "lm", "privacy"}
    said = recipe.model_dump(mode="json", by_alias=True, exclude_defaults=True, include=parts)
    return {
        "data_hash": data_hash, "recipe_hash": content_id(said), "objective": recipe.objective.model_dump(mode="json"),
        **({"reward": reward} if reward else {}),
    }  # fmt: skip


def read_lock(path: Path) -> Compiled | None:
    """The compiled program at `path`, None where there is none. Raises InputError when it can't be read."""
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        for saved in document["state"].values():
            saved["signature"]["instructions"], saved["demos"]
        return Compiled(path, {"source_id": document["source_id"], **document})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{path}: no compiled program ({reason}). Delete it and compile again") from error


def write_lock(path: Path, document: dict[str, Any]) -> None:
    """Write atomically, in a stable order, so that git shows what changed and nothing else."""
    text = json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".tmp")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)

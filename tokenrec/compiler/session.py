"""What a run holds: the recipe with its data, lists, models and store, and columns computed once."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tokenrec.dataset.lists import make_lists
from tokenrec.dataset.load import load_dataset
from tokenrec.dataset.types import FIT, TEST, TUNE_A, TUNE_B, Dataset, Lists
from tokenrec.encoders.encoder import Encoder, open_encoder
from tokenrec.features.adapted import FEWEST, Adapted, adapted_columns, fit_adapted, pair_texts
from tokenrec.features.columns import join_columns, token_columns
from tokenrec.features.types import Columns, Vectors
from tokenrec.features.vectors import raw_text
from tokenrec.generate.scorers import judge_model
from tokenrec.lm.meter import Meter
from tokenrec.lm.writer import Writer, open_writer
from tokenrec.models.adaptor import AdaptorSettings
from tokenrec.ranking.behaviour import PENALTIES, behaviour_columns, choose_penalty
from tokenrec.ranking.candidates import candidates
from tokenrec.ranking.own import METRIC as OWN
from tokenrec.ranking.own import Reward, load_reward, reward_id
from tokenrec.ranking.ranker import Settings, margins
from tokenrec.recipe.load import LoadedRecipe
from tokenrec.recipe.models import AdaptorModel, Budget, Recipe
from tokenrec.store.store import copy_store, open_store
from tokenrec.tasks.compiled import compiled_path
from tokenrec.tasks.spec import TaskSpec

KEPT = 32  # adaptors that a session remembers, some 8 MB each


@dataclass
class Session:
    """One run on one recipe. Columns are kept by (source, window); sources are task names, raw_text, ..."""

    loaded: LoadedRecipe
    dataset: Dataset
    db: Any
    run: str
    encoder: Encoder
    meter: Meter
    writers: dict[str, Writer] = field(default_factory=dict)  # by model
    raw: Vectors | None = None
    settings: Settings | Reward = field(default_factory=Settings)
    reward_id: str | None = None  # of the user's own ranker, where there is one
    lists: dict[int, Lists] = field(default_factory=dict)
    cache: dict[tuple[str, int], Columns] = field(default_factory=dict)
    penalty: float | None = None  # EASE's
    adapted: dict[bytes, Adapted | None] = field(default_factory=dict)  # `ranker.adaptor`, by the texts it learnt from
    margin: np.ndarray | None = None  # float32[fit rows]: log-odds by clicks alone, which adaptors add to
    augment: dict[str, float] = field(default_factory=dict)  # task of invented items → weight that tune-A chose
    retriever: str | None = None  # id of the one that this run trained, or found unchanged
    asking: bool = True  # False: a plan, on a copy of the store and without the LM

    @property
    def recipe(self) -> Recipe:
        return self.loaded.recipe

    def open_writer(self, task: str | None = None) -> Writer:
        """The model that writes a task's texts (the recipe's, without one), loaded when first needed."""
        return self._open(self.recipe.writer_of(task))

    def open_judge(self) -> Writer:
        """The LM of `judge: lm`."""
        return self._open(judge_model(self.recipe))

    def _open(self, model: str) -> Writer:
        if model not in self.writers:
            self.writers[model] = open_writer(self.loaded.project, model, self.meter, self.asking)
        return self.writers[model]

    def compiled_path(self, spec: TaskSpec) -> Path:
        """Where the task's compiled program for this writer lies."""
        return compiled_path(self.loaded.project.root, spec.recipe, spec.name, self.open_writer(spec.name).lm_id)

    def make_lists(self, windows: tuple[int, ...] = (FIT, TUNE_A, TUNE_B, TEST)) -> None:
        """Ranking lists of the windows; candidates are computed here, once, and shared by every arm."""
        for window in windows:
            slates = self.dataset.slates is not None
            allowed = None if slates else candidates(self.recipe, self.dataset, window, self.raw)
            self.lists[window] = make_lists(self.dataset, window, allowed)

    def behaviour(self, window: int) -> Columns:
        return self._cached(
            "behaviour", window, lambda: behaviour_columns(self.dataset, self.lists[window], self.ease_penalty())
        )

    def ease_penalty(self) -> float:
        """Chosen once, on the fit lists, whatever window asks first; the default where there are none."""
        if self.penalty is None:
            lists = self.lists.get(FIT)
            metric = self.recipe.objective.metric
            metric = f"ndcg@{self.recipe.ranker.k}" if metric == OWN else metric
            self.penalty = choose_penalty(self.dataset, lists, metric) if lists is not None else PENALTIES[0]
        return self.penalty

    def columns(self, source: str, window: int, vectors: list[Vectors], items: list[Vectors] = ()) -> Columns:
        """All columns of one source on one window, kept; `items` are item vectors that a user source may meet."""
        return self._cached(source, window, lambda: self.block(source, window, vectors, items))

    def base(self, window: int) -> dict[str, tuple[Columns, Columns]]:
        """The blocks that every arm with text has, behaviour and raw_text, on (fit, `window`)."""
        return {
            "behaviour": tuple(self.behaviour(w) for w in (FIT, window)),
            "raw_text": tuple(self.columns("raw_text", w, [self.raw]) for w in (FIT, window)),
        }

    def block(self, source: str, window: int, vectors: list[Vectors], items: list[Vectors] = ()) -> Columns:
        """The same, made anew: what evidence, promotion and curve ask of a program, a placebo, a part of the texts."""
        adapted = self.adaptor_of(vectors, items)
        return make_columns(source, vectors, self.dataset, self.lists[window], items, adapted)

    def adaptor_of(
        self, vectors: list[Vectors], items: list[Vectors] = (), wanted: AdaptorModel | None = None
    ) -> Adapted | None:
        """What `ranker.adaptor`, or the one wanted, learns of these texts on the fit lists; None without either."""
        wanted, texts = wanted or self.recipe.ranker.adaptor, pair_texts(vectors, items)
        if wanted is None or texts is None:
            return None
        digest = hashlib.blake2b(wanted.model_dump_json().encode())
        for part in texts:
            digest.update(b"none" if part is None else np.ascontiguousarray(part))
        key = digest.digest()
        if key not in self.adapted:
            numbers = wanted.model_dump(exclude={"folds", "columns"})
            self.adapted[key] = fit_adapted(
                *texts, self.dataset, self.lists[FIT], AdaptorSettings(**numbers), self.fit_margin(), wanted.folds,
                wanted.columns,
            )  # fmt: skip
            if self.adapted[key] is None:
                note = f"ranker.adaptor: {vectors[0].source} has texts for under {FEWEST} fit lists: nothing was learnt"
                self.dataset.notes.extend([note] if note not in self.dataset.notes else [])
            for old in list(self.adapted)[:-KEPT]:
                del self.adapted[old]
        return self.adapted[key]

    def fit_margin(self) -> np.ndarray:
        """By the default ranker: the recipe's own settings are chosen with the text in sight."""
        if self.margin is None:
            known = self.behaviour(FIT)
            nothing = Columns(known.source, known.names, known.matrix[:0])
            settings = Settings(negatives=self.recipe.ranker.negatives)
            self.margin = margins(known, self.lists[FIT], nothing, settings)[0]
        return self.margin

    def forget(self, source: str) -> None:
        for key in [k for k in self.cache if k[0] == source]:
            del self.cache[key]

    def _cached(self, source: str, window: int, make: Callable[[], Columns]) -> Columns:
        if (source, window) not in self.cache:
            self.cache[source, window] = make()
        return self.cache[source, window]


def ranker_folder(loaded: LoadedRecipe) -> Path:
    """Where the recipe's trained ranker lies: beside the store, as its scores do."""
    return loaded.project.store.parent / f"ranker-{loaded.recipe.name}"


def make_columns(
    source: str, vectors: list[Vectors], dataset: Dataset, lists: Lists, items: list[Vectors] = (),
    adapted: Adapted | None = None,
) -> Columns:  # fmt: skip
    """The columns of one source's vectors, side by side, and those of its adaptor where there is one."""
    by_space = {v.space: v for v in items if v.subject == "item"}
    parts = []
    for v in vectors:
        met = by_space.get(v.space) if v.subject == "user" else None
        if v.augment:  # a history is of items: what is invented joins their own texts, not what an LM wrote of them
            met = next((i for i in items if i.source == "raw_text"), None)
        parts.append(token_columns(v, dataset, lists, item_vectors=met))
    if not parts:
        return Columns(source, [], np.empty((len(lists.label), 0), np.float32))
    if adapted is not None:
        parts.append(adapted_columns(adapted, source, *pair_texts(vectors, items), dataset, lists))
    return replace(join_columns(source, parts), vectors=tuple(vectors))


def open_session(
    loaded: LoadedRecipe, run: str, budget: Budget | None = None, most_users: int | None = None, asking: bool = True,
    dataset: Dataset | None = None,
) -> Session:  # fmt: skip
    """Load data and open the store and the encoder. Raises InputError for anything that can't be used.

    With `asking=False` the store is a copy that is thrown away, and the LM can't be asked. `dataset`: one that is
    loaded already.
    """
    recipe, root = loaded.recipe, loaded.project.root
    settings = Settings()
    if recipe.reward:
        settings = load_reward(recipe.reward, root, recipe.objective.metric, recipe.ranker.negatives)
    dataset = dataset or load_dataset(recipe, loaded.folder, most_users=most_users)
    db = open_store(loaded.project.store) if asking else copy_store(loaded.project.store)
    project = loaded.project.project
    limits = project.budget.model_dump() | {k: v for k, v in recipe.budget.model_dump().items() if v is not None}
    limits |= {k: v for k, v in (budget or Budget()).model_dump().items() if v is not None}
    encoder = open_encoder(loaded.project, recipe.lm.encoder)
    return Session(
        loaded, dataset, db, run, encoder, Meter(budget=Budget(**limits)), settings=settings,
        reward_id=reward_id(recipe.reward, root), asking=asking,
    )  # fmt: skip


def embed_items(session: Session, progress: Callable[[int, int], None]) -> None:
    """The raw_text vectors, before any list is made: candidates may need them."""
    session.raw = raw_text(session.db, session.recipe, session.dataset, session.encoder, progress)

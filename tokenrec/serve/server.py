"""What is served from: the catalogue, the tokens in the store, the trained ranker, and indexes over them. No LM."""

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from tokenrec.compiler.session import make_columns, ranker_folder
from tokenrec.dataset.lists import serving_lists
from tokenrec.dataset.load import load_dataset
from tokenrec.dataset.types import NEXT, Dataset, Lists
from tokenrec.encoders.encoder import Encoder, open_encoder
from tokenrec.errors import InputError
from tokenrec.features.prestored import stored_vectors
from tokenrec.features.types import Columns, Vectors
from tokenrec.features.vectors import item_texts, item_words, raw_text
from tokenrec.gates.text import STOP, strings, words
from tokenrec.ranking.behaviour import behaviour_columns
from tokenrec.ranking.candidates import candidates
from tokenrec.ranking.requests import load_boosters, order_folder, order_id, read_order
from tokenrec.ranking.retrieval import Search, bm25, terms
from tokenrec.ranking.saved import Ranker, load_ranker
from tokenrec.ranking.trained import Trained, load_serving
from tokenrec.recipe.load import LoadedRecipe
from tokenrec.serve.limits import LONG, groups, phrase
from tokenrec.serve.request import Words, load_words
from tokenrec.store.store import open_store
from tokenrec.tasks.overrides import told

_PARTS = re.compile(r"[(),;/]|\b(?:and|or|with)\b")
NOBODY = ""  # the user without a history, last in user_ids


@dataclass
class Server:
    """Everything that stays between two requests. `tokens`: task → subject → accepted output, or a person's own."""

    loaded: LoadedRecipe
    db: Any
    dataset: Dataset  # with NOBODY as its last user
    encoder: Encoder
    ranker: Ranker
    raw: Vectors
    vectors: dict[str, list[Vectors]]  # task → its tokens' vectors, in the dataset's order
    dictionaries: list[Words]
    notes: list[str] = field(default_factory=list)
    margins: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)  # user → (items, scores)

    @cached_property
    def tokens(self) -> dict[str, dict[str, dict[str, Any]]]:
        recipe, folder = self.loaded.recipe, self.loaded.folder
        return {task: told(self.db, recipe, folder, task) for task in recipe.tasks}

    @cached_property
    def words_of_items(self) -> Search:
        """BM25 over the items' own text and facts; generated text is not searched for words."""
        return bm25(item_words(self.loaded.recipe, self.dataset))

    @cached_property
    def likeness(self) -> tuple[Encoder, np.ndarray]:
        """The encoder that requests are likened by, and the items' vectors: the trained retriever's where compile found
        it better than the one it was made from, and than its placebo."""
        trained = self.trained
        if trained is None:
            return self.encoder, self.raw.matrix
        encoder = trained.encoder()
        return encoder, encoder.encode(self.db, item_texts(self.loaded.recipe, self.dataset))

    @cached_property
    def trained(self) -> Trained | None:
        """The retriever that compile trained, where it serves."""
        return load_serving(self.loaded)

    @cached_property
    def order(self) -> list | None:
        """Boosters of the ranker of requests, where compile proved it better than the fusion that serves without it."""
        about = read_order(folder := order_folder(self.loaded)) if self.loaded.recipe.data.queries else None
        if about is None or not about["serves"]:
            return None
        same = (self.encoder.encoder_id, self.trained and self.trained.about["id"])
        if (about["encoder"], about["retriever"]) != same:
            self.notes.append("the ranker of requests learnt from other retrievers, and is not used: compile again")
            return None
        if about["id"] != order_id(self.loaded, self.dataset, *same):
            self.notes.append("data.queries or the items are others than the order was learnt from: compile again")
        return load_boosters(folder)

    @cached_property
    def vocabulary(self) -> set[str]:
        """Stems of the catalogue's words, of the limits and of the tags' choices."""
        found = {t for text in item_texts(self.loaded.recipe, self.dataset) for t in terms(text)}
        found |= {w for name in groups() for w in name.split()}
        return found | {w for v in self.named for c in v.columns for w in phrase(c).split()}

    @cached_property
    def made_of(self) -> set[str]:
        """Phrases that name what is in an item: of short texts ("extra virgin olive oil") the whole, the last word and
        the last two, since "virgin" is no thing; every word of long ones where there are no others."""
        texts = [t for i in self.dataset.items for f in self.contains for t in strings(i.get(f))]
        found: set[str] = set()
        for text in (t for t in texts if len(words(t)) < LONG):
            for part in _PARTS.split(text.lower()):
                stems = [phrase(w) for w in words(part)]
                if stems:
                    found.update({" ".join(stems), " ".join(stems[-2:]), stems[-1]})
        return found or {phrase(w) for t in texts for w in words(t.lower())} - STOP

    @property
    def contains(self) -> list[str]:
        """The recipe's `recommend.contains`; all text fields where it says nothing."""
        recipe = self.loaded.recipe
        return recipe.recommend.contains or recipe.data.items.text

    @property
    def named(self) -> list[Vectors]:
        """Vectors of tags and choices of items: each column is a word."""
        return [v for vs in self.vectors.values() for v in vs if v.subject == "item" and v.named and len(v.columns) > 1]

    @cached_property
    def numbers(self) -> list[str]:
        """The items' fields that hold numbers."""
        fields = [*self.loaded.recipe.data.items.facts, *self.loaded.recipe.data.items.text]
        return [f for f in fields if any(_number(i.get(f)) for i in self.dataset.items[:50])]

    def code_of(self, user: str | None) -> int:
        """A user's code; NOBODY's without one. Raises InputError for somebody who is not known."""
        if user is None:
            return len(self.dataset.user_ids) - 1
        try:
            return self.dataset.user_ids.index(user)
        except ValueError:
            raise InputError(
                f"there is no user {user} in {self.loaded.recipe.data.events.path}. Without --user no history counts"
            ) from None

    def margin(self, user: int) -> tuple[np.ndarray, np.ndarray]:
        """(int32[n] items that the user may be shown, float32[n] the ranker's scores), kept for the next request."""
        if user not in self.margins:
            allowed = candidates(self.loaded.recipe, self.dataset, NEXT, self.raw)
            lists = serving_lists(self.dataset, np.array([user]), allowed)
            self.margins[user] = lists.item_of_row, score_lists(self, lists)
        return self.margins[user]


def open_server(loaded: LoadedRecipe) -> Server:
    """Raises InputError where nothing is compiled, or the ranker was trained on other data or by another encoder."""
    recipe = loaded.recipe
    if recipe.reward:
        raise InputError(f"{recipe.name}: its ranker is your own (reward: {recipe.reward}), which is not saved")
    ranker = load_ranker(ranker_folder(loaded))
    if ranker is None:
        raise InputError(f"{recipe.name}: there is no trained ranker. run: tokenrec compile {loaded.path}")
    dataset, notes = load_dataset(recipe, loaded.folder), []
    if ranker.about["data_hash"] != dataset.data_hash:
        notes.append("the data has changed since the ranker was trained: compile again to have it learn from it")
    users = [*dataset.users, {}] if dataset.users else dataset.users
    dataset = replace(dataset, user_ids=[*dataset.user_ids, NOBODY], users=users)
    db, encoder = open_store(loaded.project.store), open_encoder(loaded.project, recipe.lm.encoder)
    if ranker.about["encoder"] != encoder.encoder_id:
        raise InputError(f"{recipe.name}: its ranker learnt from another encoder. run: tokenrec compile {loaded.path}")
    raw = raw_text(db, recipe, dataset, encoder)
    vectors: dict[str, list[Vectors]] = {}
    for found, _, by in stored_vectors(db, recipe, encoder, loaded.folder, dataset):
        if found.augment:  # invented items weigh what tune-A gave them
            weight = ranker.about.get("augment", {}).get(found.source, 0.0)
            found = replace(found, augment=(weight, found.augment[1]))
        vectors.setdefault(found.source, []).append(found)
        trained = ranker.about["programs"].get(found.source)
        if trained and by["program_id"] != trained:
            notes.append(f"{found.source}: its prompt is another than the ranker learnt from: compile again")
    read = [load_words(loaded.folder / w) for w in recipe.recommend.words]
    return Server(loaded, db, dataset, encoder, ranker, raw, vectors, read, sorted(set(notes)))


def score_lists(server: Server, lists: Lists) -> np.ndarray:
    """float32[n_rows]: the saved ranker's scores, from the same columns that evidence measures."""
    return server.ranker.score(columns_of(server, lists), lists)


def columns_of(server: Server, lists: Lists) -> list[Columns]:
    """The columns that the ranker wants, for any lists of the server's dataset."""
    sources = [source for source, _ in server.ranker.blocks]
    met = [v for s in sources if s in server.vectors for v in server.vectors[s] if v.subject == "item" and not v.empty]
    made, adapted = [], server.ranker.adapted
    for source in sources:
        if source == "behaviour":
            made.append(behaviour_columns(server.dataset, lists, server.ranker.about["ease_penalty"]))
        elif source == "raw_text":
            made.append(make_columns("raw_text", [server.raw], server.dataset, lists, (), adapted.get(source)))
        elif source in server.vectors:
            vectors = server.vectors[source]
            made.append(
                make_columns(source, vectors, server.dataset, lists, [*met, server.raw], adapted.get(source))
            )
        else:
            raise InputError(f"{source}: its texts are no longer in the store. run: tokenrec compile")
    return made


def _number(value: Any) -> bool:
    try:
        float(value)
        return not isinstance(value, bool)
    except (TypeError, ValueError):
        return False

"""What a prompt is told of its subject, and which subjects a task has."""

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenrec.dataset.types import HISTORY as HISTORY_WINDOW
from tokenrec.dataset.types import Dataset
from tokenrec.ids import content_id, unit_hash
from tokenrec.recipe.models import Recipe
from tokenrec.recipe.refs import LIKED, SAID, STYLE
from tokenrec.recipe.tasks import Evidence
from tokenrec.spool import Spool, dump, load
from tokenrec.tasks.evidence import quotes, quotes_of_many, within
from tokenrec.tasks.sets import ItemSet, Told, common_words, item_sets, reviews_of_items, texts_of
from tokenrec.tasks.spec import TaskSpec, input_hash

Tokens = dict[str, dict[str, dict[str, Any]]]  # task → subject → accepted output
MOST_CHARACTERS = 8000  # of one value, about 2,000 LM tokens: a megabyte in a catalogue must not be a megabyte's bill
# Invisible marks that reorder, hide or smuggle text. Joiners (U+200C, U+200D) are spelling and stay.
_HIDDEN = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_MARKER = re.compile(r"\[\[(\s*)##")  # how DSPy's prompts begin a field


@dataclass(frozen=True)
class Prompt:
    """One subject's inputs. `newest` is the time of the newest event in them, None without events.

    `sources`: whose likes or words they hold, where the subject is no user itself: (user id, ids of the items).
    """

    subject: str
    name: str
    inputs: dict[str, Any]
    hash: str
    newest: float | None = None
    sources: tuple[tuple[str, tuple[str, ...]], ...] = ()


def spooled(found: Iterable[Prompt]) -> Spool[Prompt]:
    """Prompts on disk, to be read more than once."""
    rows = Spool((), lambda p: dump([p.subject, p.name, p.inputs, p.hash, p.newest, p.sources]), _read)
    for prompt in found:
        rows.append(prompt)
    return rows


def _read(data: bytes) -> Prompt:
    *said, sources = load(data)
    return Prompt(*said, tuple((user, tuple(items)) for user, items in sources))


def display_name(recipe: Recipe, record: dict) -> str:
    items = recipe.data.items
    return str(as_data(record.get(items.name or items.text[0])) or record.get(items.id) or "")


def prompts(
    recipe: Recipe, dataset: Dataset, spec: TaskSpec, tokens: Tokens, chosen: np.ndarray | None = None
) -> Iterator[Prompt]:
    """Every subject of the task with its inputs, in a stable order; or those of `chosen` (codes) alone.

    `tokens` holds the accepted outputs of the tasks that this one refers to; a subject whose input
    is missing there is written about without it. Items with nothing to be told of and users with too few liked items
    are left out.
    """
    if spec.subject == "set":
        sets = item_sets(recipe, dataset, spec.task)
        chosen = _chosen(spec, dataset, np.arange(len(sets)), [s.subject for s in sets])
        found = (_of_set(recipe, dataset, spec, tokens, sets[code]) for code in chosen)
        yield from (prompt for prompt in found if prompt.inputs.get(LIKED))
        return
    make = prompt_maker(recipe, dataset, spec, tokens)
    codes = _chosen(spec, dataset, able_subjects(dataset, spec)) if chosen is None else np.sort(chosen)
    yield from (prompt for prompt in map(make, codes) if prompt.inputs)


def able_subjects(dataset: Dataset, spec: TaskSpec) -> np.ndarray:
    """int[n]: codes of the subjects that a task could write about: all items, or users with enough liked items."""
    if spec.subject == "item":
        return np.arange(len(dataset.item_ids))
    history = _liked(dataset)
    least = spec.task.history.min if spec.task.history else 2
    return np.array([u for u in range(len(dataset.user_ids)) if len(history.get(u, ())) >= least], dtype=int)


def in_order(
    dataset: Dataset, subject: str, codes: np.ndarray, order: str, ids: list[str] | None = None
) -> np.ndarray:
    """`codes` by `order`, ties by a hash of the id: random, popular (most events in history first) or cold (fewest).

    `ids`: those that `codes` are places among, where they are neither items nor users; their order is random.
    """
    if ids is not None:
        return np.array(sorted(codes, key=lambda c: unit_hash("subjects", ids[c])), dtype=int)
    ids = dataset.item_ids if subject == "item" else dataset.user_ids
    sign = {"random": 0, "popular": -1, "cold": 1}[order]
    events = dataset.events
    seen = events.item if subject == "item" else events.user
    counts = np.bincount(seen[events.window == HISTORY_WINDOW], minlength=len(ids))
    return np.array(sorted(codes, key=lambda c: (sign * counts[c], unit_hash("subjects", ids[c]))), dtype=int)


def subject_ids(recipe: Recipe, dataset: Dataset, spec: TaskSpec) -> list[str]:
    """The ids of all that the task could write about, sorted; a code is a place among them."""
    if spec.subject == "set":
        return [s.subject for s in item_sets(recipe, dataset, spec.task)]
    return dataset.item_ids if spec.subject == "item" else dataset.user_ids


def prompt_maker(recipe: Recipe, dataset: Dataset, spec: TaskSpec, tokens: Tokens) -> Callable[[int], Prompt]:
    """What the task is told of one subject, by its code; also of subjects that the task itself leaves out."""
    if spec.subject == "item":
        reviews, common = reviews_of_items(dataset, spec.task), common_words(dataset, spec.task)

        def of_item(code: int) -> Prompt:
            record, subject = dataset.items[code], dataset.item_ids[code]
            inputs, newest, sources = _fields(spec, record, subject, tokens), None, ()
            if spec.task.evidence:
                said, rows = _quoted(recipe, dataset, spec.task.evidence, record, reviews.get(code, []), common)
                inputs |= {SAID: [as_data(s) for s in said]} if said else {}
                newest = max((float(dataset.reviews.time[r]) for r in rows), default=None)
                sources = tuple((dataset.user_ids[dataset.reviews.user[r]], (subject,)) for r in rows)
            shown = _pseudonymise(recipe, inputs | _style(spec, subject) if inputs else {})
            return Prompt(subject, display_name(recipe, record), shown, input_hash(shown), newest, sources)

        return of_item
    if spec.subject == "set":
        sets = item_sets(recipe, dataset, spec.task)
        return lambda code: _of_set(recipe, dataset, spec, tokens, sets[code])
    history = _liked(dataset)

    def of_user(code: int) -> Prompt:
        subject = dataset.user_ids[code]
        liked = _sample(spec, subject, history.get(code, []))
        inputs = _fields(spec, dataset.users[code] if dataset.users else {}, subject, tokens)
        inputs[LIKED] = [_item_line(recipe, dataset, spec.task.shown, item, tokens) for _, item in liked]
        shown = _pseudonymise(recipe, inputs | _style(spec, subject))
        return Prompt(subject, subject, shown, input_hash(shown), max((t for t, _ in liked), default=None))

    return of_user


def as_data(value: Any) -> Any:
    """`value` as a prompt shows it: data that can't hide, reorder or end its own field; cut at MOST_CHARACTERS."""
    if isinstance(value, str):
        text = _MARKER.sub(r"[ [\1##", _HIDDEN.sub("", value))
        return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + " …"
    if isinstance(value, list):
        kept, room = [], MOST_CHARACTERS
        for part in value:
            kept.append(as_data(part))
            room -= len(str(kept[-1]))
            if room < 0:
                break
        return kept
    return value


def _fields(spec: TaskSpec, record: dict, subject: str, tokens: Tokens) -> dict[str, Any]:
    inputs = {}
    for ref in spec.inputs:
        if ref.field:
            inputs[ref.name] = as_data(record.get(ref.field))
        elif ref.task:
            inputs[ref.name] = tokens.get(ref.task, {}).get(subject, {}).get(ref.output)
    return {k: v for k, v in inputs.items() if v not in (None, "", [])}


def _liked(dataset: Dataset) -> dict[int, list[tuple[float, int]]]:
    """Liked items of the history window by user, oldest first, each item once (its first like)."""
    events, seen, liked = dataset.events, set(), {}
    for i in np.flatnonzero(events.positive & (events.window == HISTORY_WINDOW)):
        key = (int(events.user[i]), int(events.item[i]))
        if key not in seen:
            seen.add(key)
            liked.setdefault(key[0], []).append((float(events.time[i]), key[1]))
    return liked


def _sample(spec: TaskSpec, subject: str, liked: list[tuple[float, int]]) -> list[tuple[float, int]]:
    history = spec.task.history
    most, how = (history.most, history.sample) if history else (20, "recent")
    liked = liked[: math.ceil(round(history.share * len(liked), 9))] if history else liked
    if len(liked) <= most:
        return liked
    if how == "first":
        return liked[:most]
    if how == "recent":
        return liked[-most:]
    if how == "diverse":  # evenly spread over the user's time
        return [liked[int(i)] for i in np.linspace(0, len(liked) - 1, most).round()]
    return sorted(sorted(liked, key=lambda e: unit_hash(subject, e[1]))[:most])


def _of_set(recipe: Recipe, dataset: Dataset, spec: TaskSpec, tokens: Tokens, one: ItemSet) -> Prompt:
    lines = [_set_line(recipe, dataset, t, spec.task.drawn.show, tokens) for t in one.told]
    inputs = {LIKED: [line for line in lines if line]} | _style(spec, one.subject)
    newest = max((t.time for t in one.told if not np.isnan(t.time)), default=None)
    sources = ((dataset.user_ids[one.user], tuple(dataset.item_ids[t.item] for t in one.told)),)
    return Prompt(one.subject, one.subject[:12], inputs, input_hash(inputs), newest, sources)


def _set_line(recipe: Recipe, dataset: Dataset, told: Told, show: list[str] | None, tokens: Tokens) -> str:
    """An item of a set: what is shown of it, then what is quoted."""
    name = "" if show == [] else _item_line(recipe, dataset, show or [], told.item, tokens)
    return ": ".join(part for part in (name, as_data(" ".join(told.quoted))) if part)


def _quoted(
    recipe: Recipe, dataset: Dataset, rule: Evidence, record: dict, reviews: list[int], common: frozenset[str]
) -> tuple[list[str], list[int]]:
    """(sentences that speak of an item, rows of the reviews they are from)."""
    if rule.of:
        said = [q for text in texts_of(record, rule.of) for q in quotes(text, rule)]
        return said[: within(said, rule)], []
    about = texts_of(record, recipe.data.items.text)
    found = quotes_of_many([dataset.reviews.text[r] for r in reviews], rule, about, common)
    found = found[: within([q for _, q in found], rule)]
    return [q for _, q in found], [reviews[i] for i in dict.fromkeys(i for i, _ in found)]


def _style(spec: TaskSpec, subject: str) -> dict[str, str]:
    """How this subject's text is to be written, where the task has several ways."""
    styles = spec.task.styles
    return {STYLE: styles[int(unit_hash("style", subject) * len(styles))]} if styles else {}


def _item_line(recipe: Recipe, dataset: Dataset, show: list[str], item: int, tokens: Tokens) -> str:
    record, subject = dataset.items[item], dataset.item_ids[item]
    parts = []
    for field in show or [recipe.data.items.name or recipe.data.items.text[0]]:
        if field.startswith("$"):
            task, output = field[1:].split(".")
            value = tokens.get(task, {}).get(subject, {}).get(output)
            value = f"({', '.join(value) if isinstance(value, list) else value})" if value else None
        else:
            value = _pseudonymise(recipe, {field: record.get(field)})[field]
            value = ", ".join(map(str, value)) if isinstance(value := as_data(value), list) else value
        if value not in (None, ""):
            parts.append(str(value))
    return " ".join(parts)


def _chosen(spec: TaskSpec, dataset: Dataset, codes: np.ndarray, ids: list[str] | None = None) -> np.ndarray:
    """The subjects that get a text: all, or the `most` by the task's order."""
    rule = spec.task.subjects
    if rule is None or len(codes) <= rule.most:
        return codes
    return np.sort(in_order(dataset, spec.subject, codes, rule.order, ids)[: rule.most])


def _pseudonymise(recipe: Recipe, inputs: dict) -> dict:
    return {
        k: content_id(["pseudonym", recipe.name, v])[:12] if k in recipe.privacy.pseudonymise and v else v
        for k, v in inputs.items()
    }

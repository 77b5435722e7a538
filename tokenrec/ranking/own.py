"""A ranker or a metric of the user's own in place of ours: `reward: ./mine.py:fn`.

`fn(fit, lists, seed)` learns from `fit` and says what it makes of `lists`, both `Rows`. With an objective such as
ndcg@10 it gives a score a candidate, float[rows], and we measure; it then never sees which candidates of `lists` are
relevant. With `objective: {metric: reward}`, the default beside `reward:`, it is told, and gives a score a list,
float[lists], higher is better: the metric is its own.
"""

import contextlib
import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tokenrec.dataset.types import Dataset, Lists
from tokenrec.errors import InputError
from tokenrec.features.types import Columns
from tokenrec.ranking.ranker import sample_rows

METRIC = "reward"  # the objective that is the user's own score of a list


@dataclass(frozen=True)
class Rows:
    """Candidates of ranking lists, n rows sorted by list and then item; every array is read-only.

    `fit` has the relevant rows and `ranker.negatives` others a list (with impressions, those that were shown and not
    taken), drawn by the seed, the same for every arm; `lists` has every candidate.
    """

    users: list[str]  # user id of each of the L lists
    items: list[str]  # item ids of the catalogue
    liked: list[np.ndarray]  # of each list the codes (places in `items`) that the user liked before, oldest first
    list_of_row: np.ndarray  # int32[n], place in `users`
    item_of_row: np.ndarray  # int32[n], place in `items`
    features: np.ndarray  # float32[n, k], NaN where there is nothing to say
    names: list[str]  # k, such as item_knn, or flavour.taste.profile
    sources: list[str]  # k: behaviour, raw_text, or the task that a column comes from
    item_tokens: dict[str, np.ndarray]  # source.output -> float32[items, d]: tag probabilities, text vectors; NaN: none
    user_tokens: dict[str, np.ndarray]  # the same of tasks about users, float32[L, d]
    label: np.ndarray | None  # uint8[n], 1 relevant; None where it may not be known
    missed: np.ndarray | None  # int32[L], relevant items that are no candidates; None likewise
    weight: np.ndarray | None  # float32[n], of `fit` with impressions: what each row counts


class Reward:
    """A loaded `reward:`. `listwise`: it gives a score a list, told what is relevant; else one a candidate."""

    def __init__(self, name: str, function: Callable, file: Path, metric: str, negatives: int):
        self.name, self.function, self.file = name, function, file
        self.listwise, self.negatives = metric == METRIC, negatives

    def __call__(
        self, fit: list[Columns], lists_fit: Lists, columns: list[Columns], lists: Lists, dataset: Dataset, seed: int
    ) -> np.ndarray:
        """float32[rows] or, listwise, float64[lists]. Raises InputError for what the function does wrong."""
        rows = sample_rows(lists_fit, self.negatives, seed)
        learn = _rows(fit, lists_fit, dataset, rows, labels=True)
        measured = _rows(columns, lists, dataset, None, labels=self.listwise)
        try:
            with contextlib.redirect_stdout(sys.stderr):  # stdout is the document's
                made = self.function(learn, measured, seed)
        except (Exception, SystemExit) as error:  # a user's function may raise anything
            raise InputError(f"reward: {self.name} raised {_told(error, self.file)}") from error
        return self._checked(made, len(lists.label), len(lists))

    def _checked(self, made, n_rows: int, n_lists: int) -> np.ndarray:
        given = f"{made!r:.40}"
        wanted, one = (n_lists, "list") if self.listwise else (n_rows, "candidate")
        said = f"reward: {self.name}"
        try:
            made = np.asarray("" if made is None else made, np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{said} gave {given}, no array of numbers. Return float[{wanted:,}], one a {one}"
            ) from error
        if made.shape != (wanted,):
            fix = f"Return float[{wanted:,}], one a {one} in the order of `lists`"
            if made.shape == (n_rows,):
                fix = ("These are scores of candidates: to have them measured, write objective: {metric: ndcg@10} in "
                       "the recipe. Or return one number a list")  # fmt: skip
            elif made.shape == (n_lists,):
                fix = ("These are scores of lists: to have them as the objective, write objective: {metric: reward} in "
                       "the recipe. Or return one number a candidate")  # fmt: skip
            raise InputError(f"{said} gave an array of shape {made.shape} where ({wanted},) is wanted. {fix}")
        bad = np.flatnonzero(~np.isfinite(made))
        if len(bad):
            raise InputError(
                f"{said} gave {made[bad[0]]} for {len(bad):,} of {wanted:,} {one}s, the first of them number "
                f"{bad[0]}. Return finite numbers; what can't be told gets the lowest"
            )
        return made if self.listwise else made.astype(np.float32)


def load_reward(reward: str, root: Path, metric: str, negatives: int) -> Reward:
    """The function of `reward: ./file.py:fn`, its path relative to `root`. Raises InputError when it can't be had."""
    where, _, name = reward.rpartition(":")
    path = (root / where).resolve()
    if not path.is_file():
        raise InputError(f"reward: {path} is not there. The path is relative to the folder of tokenrec.yaml")
    try:
        spec = importlib.util.spec_from_file_location(f"tokenrec_reward_{path.stem}", path)
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        if str(path.parent) not in sys.path:
            sys.path.append(str(path.parent))  # what lies beside it can be imported
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise InputError(f"reward: {reward} can't be loaded: {_told(error, path)}") from error
    function = getattr(module, name, None)
    if not callable(function):
        known = [n for n, f in vars(module).items() if callable(f) and getattr(f, "__module__", "") == module.__name__]
        there = f"It has {', '.join(known)}" if known else "It has none"
        raise InputError(f"reward: {path.name} has no function {name}. {there}. Write def {name}(fit, lists, seed):")
    return Reward(reward, function, path, metric, negatives)


def reward_id(reward: str | None, root: Path) -> str | None:
    """SHA-256 of a reward's file and of its name in it, None without a reward: an edited one is another.

    Files that it imports are not looked into.
    """
    if reward is None:
        return None
    where, _, name = reward.rpartition(":")
    path = (root / where).resolve()
    try:
        return hashlib.sha256(path.read_bytes() + b"\0" + name.encode()).hexdigest()
    except OSError as error:
        raise InputError(f"reward: {path} can't be read: {error.strerror or error}") from error


def _rows(columns: list[Columns], lists: Lists, dataset: Dataset, rows: np.ndarray | None, labels: bool) -> Rows:
    which = slice(None) if rows is None else rows
    tokens = [v for c in columns for v in c.vectors]
    return Rows(
        users=[dataset.user_ids[u] for u in lists.user],
        items=[*dataset.item_ids],
        liked=_liked(dataset, lists),
        list_of_row=_fixed(lists.list_of_row[which]),
        item_of_row=_fixed(lists.item_of_row[which]),
        features=_fixed(np.concatenate([c.matrix[which] for c in columns], axis=1)),
        names=[name for c in columns for name in c.names],
        sources=[c.source for c in columns for _ in c.names],
        item_tokens={f"{v.source}.{v.output}": _fixed(v.matrix) for v in tokens if v.subject == "item"},
        user_tokens={f"{v.source}.{v.output}": _fixed(v.matrix[lists.user]) for v in tokens if v.subject == "user"},
        label=_fixed(lists.label[which]) if labels else None,
        missed=_fixed(lists.missed) if labels else None,
        weight=_fixed(lists.weight[which]) if rows is not None and lists.weight is not None else None,
    )


def _liked(dataset: Dataset, lists: Lists) -> list[np.ndarray]:
    e = dataset.events
    rows = np.flatnonzero(lists.before & e.positive)
    rows = rows[np.argsort(e.user[rows], kind="stable")]
    bounds = [np.searchsorted(e.user[rows], lists.user, side) for side in ("left", "right")]
    return [_fixed(e.item[rows[a:b]]) for a, b in zip(*bounds, strict=True)]


def _fixed(array: np.ndarray) -> np.ndarray:
    """A view that can't be written through: what is measured is not the function's to change."""
    view = array.view()
    view.flags.writeable = False
    return view


def _told(error: BaseException, path: Path) -> str:
    """The error with the last line of the user's own file that it came from."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines = [error.lineno]
    return f"{type(error).__name__}: {error}" + (f" ({path.name}:{lines[-1]})" if lines else "")

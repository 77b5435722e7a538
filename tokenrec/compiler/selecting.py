"""`generate:`: which subjects of a task get a text. By `uplift`, a pilot is written first, and tells about the rest."""

from dataclasses import dataclass

import numpy as np

from tokenrec.compiler.session import Session
from tokenrec.dataset.split import usable_before
from tokenrec.dataset.types import FIT, TUNE_A
from tokenrec.evidence import uplift
from tokenrec.evidence.arms import ArmScores, measure_arms
from tokenrec.features.profiles import liked_matrix, unit
from tokenrec.features.types import Vectors
from tokenrec.ids import content_id
from tokenrec.lm.plain import value_text
from tokenrec.store.store import transaction
from tokenrec.tasks.inputs import able_subjects, in_order
from tokenrec.tasks.spec import TaskSpec

VERSION = 1  # raise it with any change of what is chosen
PILOT, FEWEST = 0.1, 40  # share of the subjects, and subjects, that a pilot has; half of the budget at most
TOP = 50  # places of a list that count as exposure
ALIKE = 0.05  # how alike what one user liked is, before there are texts to tell


@dataclass(frozen=True)
class Selection:
    """Codes of the subjects to write about; of an unfinished `uplift` the pilot, until there are `most`."""

    codes: np.ndarray
    most: int
    pilot: bool = False
    drawn: np.ndarray | None = None  # of the pilot, those that were drawn at random


def select(session: Session, spec: TaskSpec, calls: int) -> Selection | None:
    """What `generate:` chooses, None without it. `calls`: the most LM calls that one subject may take."""
    rule = spec.task.generate
    if rule is None:
        return None
    able = able_subjects(session.dataset, spec)
    most = rule.subjects(len(able), calls)
    order = "random" if rule.select == "uplift" else rule.select
    queue = in_order(session.dataset, spec.subject, able, order)
    if rule.select != "uplift" or most >= len(able):
        return Selection(queue[:most], most)
    if (known := _stored(session, spec, most)) is not None:
        return Selection(known, most)
    if not session.asking:  # a plan: as many, whichever they will be
        return Selection(queue[:most], most)
    return first_part(session, spec, able, queue, most)


def first_part(session: Session, spec: TaskSpec, able: np.ndarray, queue: np.ndarray, most: int) -> Selection:
    """The pilot. Of items, half are those that stand for most users, so that profiles say something at all, and half
    are drawn, as many new ones (without a like) as known ones, since it is these two whose worth differs most."""
    size = min(max(round(PILOT * len(able)), FEWEST), most // 2)
    if spec.subject == "user":
        return Selection(queue[:size], most, True, queue[:size])
    mask = np.zeros(len(session.dataset.item_ids), bool)
    mask[able] = True
    liked = _liked(session)
    common = uplift.grow(np.zeros_like(mask), size // 2, mask, liked, ALIKE)
    left, n = queue[~common[queue]], size - size // 2
    new = left[np.asarray(liked.sum(axis=0)).ravel()[left] == 0][: n // 2]
    drawn = np.concatenate([new, left[~np.isin(left, new)][: n - len(new)]])
    return Selection(np.union1d(np.flatnonzero(common), drawn), most, True, drawn)


def choose_rest(session: Session, spec: TaskSpec, pilot: Selection, vectors: list[Vectors]) -> str:
    """Choose all subjects by what the pilot's `vectors` gained on tune-A, and store it; returns a note for people."""
    able = able_subjects(session.dataset, spec)
    expected = expected_worth(session, spec, pilot, vectors)
    mask = np.zeros(len(expected), bool)
    mask[pilot.codes] = True
    if not expected[able].any():
        queue = in_order(session.dataset, spec.subject, able, "random")
        mask[queue[~mask[queue]][: pilot.most - len(pilot.codes)]] = True
        note = "the pilot shows no lift that could be told by subject: the rest is drawn at random"
    elif spec.subject == "user":
        queue = able[np.argsort(-expected[able], kind="stable")]
        mask[queue[~mask[queue]][: pilot.most - len(pilot.codes)]] = True
        note = f"{pilot.most:,} of {len(able):,} users, where a text may gain most"
    else:
        among, liked = np.isin(np.arange(len(mask)), able), _liked(session)
        alike = float(np.mean([uplift.likeness(v.matrix, liked) for v in vectors]))
        fit = session.lists[FIT]
        taught = np.bincount(fit.item_of_row, fit.label, minlength=len(mask))
        mask = uplift.grow(mask, pilot.most, among, liked, alike, expected, taught)
        cold = np.asarray(liked.sum(axis=0)).ravel() == 0
        note = f"{pilot.most:,} of {len(able):,} items, {(mask & cold).sum():,} of them new"
    _store(session, spec, pilot.most, np.flatnonzero(mask))
    return note


def expected_worth(session: Session, spec: TaskSpec, pilot: Selection, vectors: list[Vectors]) -> np.ndarray:
    """float[n subjects]: what a text may gain on the objective's slice, learnt on tune-A from the pilot."""
    scores = _pilot_arms(session, vectors)
    n = len(session.dataset.item_ids if spec.subject == "item" else session.dataset.user_ids)
    gain, times = uplift.gains(scores, "pilot", "raw_text", n, session.recipe.objective.slice, spec.subject)
    told = np.all([~np.isnan(v.matrix).any(axis=1) for v in vectors], axis=0)
    drawn, able = np.zeros(n, bool), np.zeros(n, bool)
    drawn[pilot.drawn] = True
    able[able_subjects(session.dataset, spec)] = True
    able[np.setdiff1d(pilot.codes, pilot.drawn)] = False  # these were no draw
    return uplift.worth(gain, times, drawn & told, able & ~(drawn & ~told), _known(session, spec, scores))


def _pilot_arms(session: Session, vectors: list[Vectors]) -> ArmScores:
    lists = session.lists[FIT], session.lists[TUNE_A]
    pilot = tuple(session.block("pilot", w, vectors, [session.raw]) for w in (FIT, TUNE_A))
    blocks = {**session.base(TUNE_A), "pilot": pilot}
    arms = {"raw_text": ["behaviour", "raw_text"], "pilot": list(blocks)}
    seeds = list(range(session.recipe.ranker.seeds))
    return measure_arms(session.dataset, *lists, blocks, arms, session.settings, seeds)


def _known(session: Session, spec: TaskSpec, scores: ArmScores) -> np.ndarray:
    """float[n subjects, k]: what is known of any subject before its text is written, and without its labels."""
    data, liked = session.dataset, _liked(session)
    if spec.subject == "user":
        seen = np.bincount(data.events.user[usable_before(data, TUNE_A)], minlength=len(data.user_ids))
        popular = liked @ np.log1p(np.asarray(liked.sum(axis=0)).ravel())
        size = np.asarray(liked.sum(axis=1)).ravel()
        return np.stack([np.log1p(seen), np.log1p(size), popular / np.maximum(size, 1)], axis=1)
    likes = np.asarray(liked.sum(axis=0)).ravel()
    lists = scores.lists
    top = np.zeros(len(lists.label), bool)
    for first, last in zip(lists.indptr[:-1], lists.indptr[1:], strict=True):
        top[first + np.argsort(-scores.scores["raw_text"][first:last], kind="stable")[:TOP]] = True
    exposed = np.bincount(lists.item_of_row[top], minlength=len(data.item_ids))
    length = [sum(len(value_text(item.get(f))) for f in session.recipe.data.items.text) for item in data.items]
    middle = unit(np.nanmean(unit(session.raw.matrix), axis=0, keepdims=True))[0]
    usual = np.nan_to_num(unit(session.raw.matrix) @ middle)
    return np.stack([np.log1p(likes), likes == 0, np.log1p(exposed), np.log1p(length), usual], axis=1)


def _liked(session: Session):
    """float[users, items] of ones: likes before tune, which are what tune-A's columns are made from."""
    return liked_matrix(session.dataset, usable_before(session.dataset, TUNE_A))


def _id(session: Session, spec: TaskSpec, most: int) -> str:
    """All that a choice rests on but the texts of the pilot: it stays when a prompt or a gate changes."""
    recipe = session.recipe
    return content_id([
        VERSION, recipe.name, spec.name, spec.subject, session.dataset.data_hash, most, session.encoder.encoder_id,
        recipe.objective.model_dump(), recipe.data.items.text, *([session.reward_id] if session.reward_id else []),
    ])  # fmt: skip


def _stored(session: Session, spec: TaskSpec, most: int) -> np.ndarray | None:
    ids = session.dataset.item_ids if spec.subject == "item" else session.dataset.user_ids
    code = {subject: i for i, subject in enumerate(ids)}
    rows = session.db.execute("select subject from chosen where choice_id = ?", [_id(session, spec, most)])
    found = [code[subject] for (subject,) in rows if subject in code]
    return np.array(sorted(found)) if found else None


def _store(session: Session, spec: TaskSpec, most: int, codes: np.ndarray) -> None:
    """Keep the task's latest choice alone."""
    ids = session.dataset.item_ids if spec.subject == "item" else session.dataset.user_ids
    key = _id(session, spec, most)
    with transaction(session.db) as sql:
        sql.execute("delete from chosen where recipe = ? and task = ?", [session.recipe.name, spec.name])
        rows = ([key, session.recipe.name, spec.name, spec.subject, ids[c]] for c in codes)
        sql.executemany("insert into chosen values (?,?,?,?,?)", rows)

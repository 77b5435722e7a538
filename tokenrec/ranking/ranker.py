"""The ranker: XGBoost on any blocks of columns, its settings, and the quick score *lite* of a program."""

import os
from dataclasses import dataclass, replace

import numpy as np

from tokenrec.dataset.types import Lists
from tokenrec.features.types import Columns
from tokenrec.ranking.metrics import mean, per_list, relevant_ranks

ROWS = 200_000  # scored at a time
THREADS_FROM = 2_000_000  # cells of a fit below which threads only wait for one another


@dataclass(frozen=True)
class Settings:
    """What `choose_settings` may choose; the names are XGBoost's, `negatives` are sampled a list when fitting.

    The default is as good as any on Food.com (NDCG@10 of behaviour on tune-A .038; rank:pairwise .038, rank:ndcg
    .037 with topk pairs, .031 with mean pairs) and costs a third of a ranking objective.
    """

    objective: str = "binary:logistic"  # rank:ndcg | rank:pairwise | binary:logistic
    pair_method: str = "mean"  # mean | topk
    pairs: int = 4  # a document for mean, the truncation for topk
    rounds: int = 100
    depth: int = 4
    eta: float = 0.1
    subsample: float = 0.8
    colsample: float = 0.8
    min_child_weight: float = 1.0
    penalty: float = 5.0  # L2 on leaves
    max_bin: int = 64
    negatives: int = 100

    def parameters(self, seed: int) -> dict:
        """The parameters as XGBoost's native interface takes them."""
        ranking = {"lambdarank_pair_method": self.pair_method, "lambdarank_num_pair_per_sample": self.pairs}
        return {
            "objective": self.objective,
            "max_depth": self.depth,
            "eta": self.eta,
            "subsample": self.subsample,
            "colsample_bytree": self.colsample,
            "min_child_weight": self.min_child_weight,
            "lambda": self.penalty,
            "max_bin": self.max_bin,
            "tree_method": "hist",
            "seed": seed,
            "verbosity": 0,
        } | (ranking if self.objective.startswith("rank:") else {})


GRID = (
    Settings(),
    Settings(depth=3, eta=0.05),
    Settings(objective="rank:pairwise", min_child_weight=5.0),
    Settings(objective="rank:ndcg", pair_method="topk", pairs=20, min_child_weight=5.0),
    # the first 20 of a large catalogue fall in few of 64 bins, and tie: a tenth of NDCG@20 on last.fm; in a small one
    # finer bins learn noise
    Settings(max_bin=512),
    Settings(depth=3, eta=0.05, max_bin=512),
)
ROUNDS = (30, 60, 120)

LITE = Settings(objective="rank:ndcg", rounds=15, depth=3, eta=0.1, subsample=1.0, colsample=1.0, penalty=1.0)


def sample_rows(lists: Lists, negatives: int, seed: int) -> np.ndarray:
    """int64, sorted: every relevant row and `negatives` random others a list (all where there are fewer)."""
    key = np.random.default_rng(seed).random(len(lists.label), dtype=np.float32)
    key[lists.label == 1] = -1
    size = np.diff(lists.indptr)
    if lists.shown is not None:  # what was shown and not taken, in lists that the log knows
        kept = (lists.label == 1) | lists.shown
        logged = np.bincount(lists.list_of_row, lists.shown & (lists.label == 0), minlength=len(lists)) > 0
        kept |= ~logged[lists.list_of_row]
        key[~kept] = np.inf
        size = np.bincount(lists.list_of_row, kept, minlength=len(lists)).astype(int)
    wanted = np.minimum(negatives + np.bincount(lists.list_of_row, lists.label, minlength=len(lists)), size)
    bound = (wanted + 6 * np.sqrt(wanted) + 6) / np.maximum(size, 1)  # below it lie enough keys: sorting all is slow
    rows = np.flatnonzero(key < bound[lists.list_of_row])
    found = np.bincount(lists.list_of_row[rows], minlength=len(lists))
    if (found < wanted).any():
        rows, found = np.flatnonzero(np.isfinite(key)), size
    of_list = lists.list_of_row[rows]
    order = np.lexsort((key[rows], of_list))
    place = np.arange(len(rows)) - np.repeat(np.cumsum(found) - found, found)
    return np.sort(rows[order[place < wanted[of_list[order]]]])


def weighted_rows(rows: np.ndarray, lists: Lists) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows, group of each row, weight of each group) for ranking objectives, whose weights XGBoost takes by group: a
    list with several relevant rows becomes a group for each of them, all beside the same others."""
    of_list, relevant = lists.list_of_row[rows], lists.label[rows] == 1
    place, group = np.flatnonzero(relevant), np.cumsum(relevant) - 1  # of the relevant rows, in their order
    others = np.flatnonzero(~relevant)
    first = np.searchsorted(of_list[place], of_list[others], side="left")
    many = np.searchsorted(of_list[place], of_list[others], side="right") - first
    again = np.repeat(np.arange(len(others)), many)
    nth = np.arange(len(again)) - np.repeat(np.cumsum(many) - many, many)
    taken, groups = np.r_[place, others[again]], np.r_[group[place], first[again] + nth]
    order = np.lexsort((taken, groups))
    return rows[taken[order]], groups[order], lists.weight[rows[place]]


def train(
    blocks: list[Columns],
    lists: Lists,
    settings: Settings,
    seed: int,
    margin: np.ndarray | None = None,
    rows: np.ndarray | None = None,
):
    """An xgboost.Booster fitted on `lists`, on a seeded sample of their rows or on the `rows` given.

    `blocks` are Columns of the same lists, side by side. `margin` (float[n_rows]) is what the trees add to.
    """
    import xgboost

    rows = sample_rows(lists, settings.negatives, seed) if rows is None else rows
    ranked, weight = settings.objective.startswith("rank:"), None
    group = lists.list_of_row[rows]
    if lists.weight is not None:
        rows, group, weight = weighted_rows(rows, lists) if ranked else (rows, group, lists.weight[rows])
    width = sum(len(b.names) for b in blocks)
    threads = (os.cpu_count() or 1) if len(rows) * width > THREADS_FROM else 1
    data = xgboost.QuantileDMatrix(
        np.concatenate([b.matrix[rows] for b in blocks], axis=1),
        label=lists.label[rows],
        qid=group if ranked else None,
        weight=weight,
        base_margin=None if margin is None else margin[rows],
        max_bin=settings.max_bin,
        nthread=threads,
    )
    return xgboost.train(settings.parameters(seed) | {"nthread": threads}, data, settings.rounds)


def score(booster, blocks: list[Columns], rounds: int = 0, margin: np.ndarray | None = None) -> np.ndarray:
    """float32[n_rows]: the margin of every candidate, by the first `rounds` trees (0: all of them)."""
    n = len(blocks[0].matrix)
    out = np.empty(n, np.float32)
    for start in range(0, n, ROWS):
        part = np.concatenate([b.matrix[start : start + ROWS] for b in blocks], axis=1)
        base = None if margin is None else margin[start : start + ROWS]
        out[start : start + ROWS] = booster.inplace_predict(
            part, iteration_range=(0, rounds), predict_type="margin", base_margin=base
        )
    return out


def average(scores: list[np.ndarray], lists: Lists) -> np.ndarray:
    """float32[n_rows]: mean of several seeds' scores, each first standardised within its list.

    So that no seed outvotes another by a wider scale; a list in which all candidates tie stays tied.
    """
    from tokenrec.features.profiles import standardise

    total = np.zeros(len(lists.label))
    for one in scores:
        total += standardise(one, lists)
    return (total / len(scores)).astype(np.float32)


def choose_settings(
    fit: list[Columns],
    lists_fit: Lists,
    tune: list[Columns],
    lists_tune: Lists,
    metric: str,
    slice: str = "all",
    negatives: int = 100,
    seed: int = 0,
    grid: tuple[Settings, ...] = GRID,
) -> tuple[Settings, list[dict]]:
    """The best of `grid` x ROUNDS on tune-A, and the table it was chosen from (settings, rounds, value).

    One training a grid entry: fewer rounds are read off the same trees. Equal values keep the earlier entry.
    """
    table = []
    for settings in grid:
        settings = replace(settings, rounds=max(ROUNDS), negatives=negatives)
        booster = train(fit, lists_fit, settings, seed)
        for rounds in ROUNDS:
            ranks = relevant_ranks(score(booster, tune, rounds), lists_tune)
            value = mean(per_list(ranks, lists_tune, metric, slice))
            table.append({"settings": replace(settings, rounds=rounds), "value": value})
    best = max(table, key=lambda row: -1.0 if np.isnan(row["value"]) else row["value"])
    return best["settings"], table


def margins(
    fit: Columns, lists_fit: Lists, tune: Columns, settings: Settings, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """(float32[fit rows], float32[tune rows]): the behaviour-only ranker's margin, which *lite* adds to.

    Each half of the fit lists is scored by the booster of the other half, so that what is left to explain there
    is as much as on new lists; tune rows get the mean of the two. Both are multiplied by one number, so that they are
    log-odds of being taken (`sharpness`): a ranker of few rounds gives timid margins, which any column, also a useless
    one, overturns (evals/benchmarks/reward.py).
    """
    half = np.random.default_rng(seed).permutation(len(lists_fit)) % 2
    of_row = half[lists_fit.list_of_row]
    rows = sample_rows(lists_fit, settings.negatives, seed)
    fit_margin, tune_margin = np.empty(len(of_row), np.float32), 0
    for part in (0, 1):
        booster = train([fit], lists_fit, settings, seed, rows=rows[of_row[rows] != part])
        held = of_row == part
        fit_margin[held] = score(booster, [Columns(fit.source, fit.names, fit.matrix[held])])
        tune_margin = tune_margin + score(booster, [tune]) / 2
    times = sharpness(fit_margin[rows], lists_fit.label[rows], lists_fit.list_of_row[rows])
    return fit_margin * np.float32(times), (tune_margin * times).astype(np.float32)


def sharpness(margin: np.ndarray, label: np.ndarray, of_list: np.ndarray) -> float:
    """The factor in .01 to 100 at which a softmax of `margin` within each list makes the labels likeliest.

    Rows are sorted by list. 1 where there is nothing to go by.
    """
    from scipy.optimize import minimize_scalar

    if not label.any() or not np.ptp(margin):
        return 1.0
    first = np.flatnonzero(np.diff(of_list, prepend=-1))
    place = np.repeat(np.arange(len(first)), np.diff(first, append=len(of_list)))
    x, taken = margin.astype(float), np.add.reduceat(label.astype(float), first)
    x -= np.maximum.reduceat(x, first)[place]

    def loss(log_times: float) -> float:
        times = np.exp(log_times)
        total = np.log(np.add.reduceat(np.exp(times * x), first))
        return float((taken * total).sum() - times * x[label == 1].sum())

    found = minimize_scalar(loss, bounds=(np.log(0.01), np.log(100)), method="bounded", options={"xatol": 0.01})
    return float(np.exp(found.x))


def likelihood(score: np.ndarray, lists: Lists, rows: np.ndarray, slice: str = "all") -> np.ndarray:
    """float64[L]: mean log-probability of a list's relevant items, softmax over its `rows`; NaN outside the slice.

    `score` is float[len(rows)]; `rows`, sorted row numbers of `lists`, hold all relevant ones. Slices are those of
    `metrics.contributions`: relevant items out of a slice leave the softmax too.
    """
    of_list, relevant = lists.list_of_row[rows], lists.label[rows] == 1
    kept = relevant
    if slice in ("cold_items", "warm"):
        kept = relevant & (lists.cold_row[rows] == (slice == "cold_items"))
    elif slice == "sparse_users":
        kept = relevant & lists.sparse_list[of_list]
    value = np.where(relevant & ~kept, -np.inf, score.astype(float))
    top = np.full(len(lists), -np.inf)
    np.maximum.at(top, of_list, value)
    value = value - np.where(np.isfinite(top), top, 0)[of_list]
    total = np.bincount(of_list, np.exp(value), minlength=len(lists))
    n = np.bincount(of_list[kept], minlength=len(lists))
    told = np.bincount(of_list[kept], value[kept], minlength=len(lists))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(n > 0, told / n - np.log(total), np.nan)


def lite(
    margin_fit: np.ndarray,
    fit: list[Columns],
    lists_fit: Lists,
    margin_tune: np.ndarray,
    tune: list[Columns],
    lists_tune: Lists,
    slice: str = "all",
    seed: int = 0,
) -> np.ndarray:
    """float64[fit lists + tune lists]: what a program adds to the `likelihood` of each list's likes, NaN outside the
    slice; its mean is the program's score, in nats a like.

    g is LITE's 15 rounds on top of the margin m (see `margins`), with the program's columns alone, fitted on each half
    of the fit lists. The gain is that of m + g over m on the other half, and on tune with the mean of both g; on all
    likes and LITE.negatives others a list. The likelihood moves with every like, NDCG@10 with the few at the edge of
    the first ten: on the same lists it orders programs as the retrained NDCG on test does, where NDCG's own gain does
    not (evals/benchmarks/reward.py). Wants 400 tune lists or more.
    """
    half = np.random.default_rng(seed).permutation(len(lists_fit)) % 2
    rows, tune_rows = (sample_rows(lists, LITE.negatives, seed) for lists in (lists_fit, lists_tune))
    part_of, before, after = half[lists_fit.list_of_row[rows]], margin_tune[tune_rows], 0
    told = [Columns(c.source, c.names, c.matrix[tune_rows]) for c in tune]
    raised = np.empty(len(rows), np.float32)
    for part in (0, 1):
        booster = train(fit, lists_fit, LITE, seed, margin_fit, rows[part_of == part])
        other = rows[part_of != part]
        unseen = [Columns(c.source, c.names, c.matrix[other]) for c in fit]
        raised[part_of != part] = score(booster, unseen, margin=margin_fit[other])
        after = after + score(booster, told, margin=before) / 2
    gain_fit = likelihood(raised, lists_fit, rows, slice) - likelihood(margin_fit[rows], lists_fit, rows, slice)
    gain_tune = likelihood(after, lists_tune, tune_rows, slice) - likelihood(before, lists_tune, tune_rows, slice)
    return np.concatenate([gain_fit, gain_tune])

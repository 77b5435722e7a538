"""Does weighing likes by position undo a planted bias? Pages of ten in the house's order, looked at as 1/position.

    python evals/benchmarks/position.py [--worlds 4] [--json]

Each world: 700 users with a taste, 150 items with a quality, 100 days of pages whose order has nothing to do with
either. Who looks at position k does so with probability 1/k, and takes what they then want. The ranker learns from the
likes as they are, with weights alone, with what was shown and not taken as negatives alone, and with both. Told is how
much the ten items on top are truly wanted, as a share of the ten most wanted; and NDCG@10 on the page's own likes,
plain and weighed, which is all that one has where the truth is not planted.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

RECIPE = """\
name: page
data:
  items: {path: items.csv, id: id, text: [name]}
  events: {path: events.csv, user: user, item: item, time: at}
"""
LOG = "  impressions: {path: shown.csv, user: user, item: item, position: place, time: at}\n"


@dataclass(frozen=True)
class Page:
    taste: np.ndarray
    want: np.ndarray
    house: np.ndarray
    blurred: np.ndarray  # quality as a text tells it
    wanted: np.ndarray  # float[users, items], the true probability of wanting
    shown: list[tuple]
    taken: list[tuple]


def page_world(
    seed: int = 0, users: int = 700, items: int = 150, days: int = 100, most: int = 10, knows: float = 0
) -> Page:
    """`knows`: how far the house's order goes by quality after all."""
    rng, tastes = np.random.default_rng(seed), 6
    taste, want = rng.integers(0, tastes, items), rng.integers(0, tastes, users)
    quality, house = rng.normal(0, 0.8, items), rng.normal(0, 1, items)
    house += knows * quality
    wanted = 1 / (1 + np.exp(2.2 - quality - 1.5 * (taste == want[:, None])))
    shown, taken, had = [], [], np.zeros((users, items), bool)
    for day in range(days):
        for u in rng.choice(users, users // 8, replace=False):
            pool = rng.choice(np.flatnonzero(~had[u]), 30, replace=False)
            page = pool[np.argsort(-(house[pool] + rng.normal(0, 0.5, 30)))[:most]]
            clicked = rng.random(most) < wanted[u, page] / np.arange(1, most + 1)
            for k, (i, yes) in enumerate(zip(page, clicked, strict=True), 1):
                shown.append((f"u{u:04}", f"i{i:03}", k, day + 0.1))
                if yes:
                    taken.append((f"u{u:04}", f"i{i:03}", day + 0.5))
                    had[u, i] = True
    return Page(taste, want, house, quality + rng.normal(0, 0.5, items), wanted, shown, taken)


def write_world(root: Path, made: Page) -> None:
    """The world as files, with plain.yaml and weighed.yaml beside them."""
    names = "".join(f"i{i:03},thing {i}\n" for i in range(len(made.taste)))
    (root / "items.csv").write_text("id,name\n" + names)
    (root / "events.csv").write_text("user,item,at\n" + "".join(f"{u},{i},{t}\n" for u, i, t in made.taken))
    (root / "shown.csv").write_text("user,item,place,at\n" + "".join(f"{u},{i},{k},{t}\n" for u, i, k, t in made.shown))
    (root / "tokenrec.yaml").write_text("store: s.db\n")
    (root / "plain.yaml").write_text(RECIPE)
    (root / "weighed.yaml").write_text(RECIPE + LOG)


def measure(root: Path, made: Page, settings) -> dict[str, dict[str, float]]:
    """By how was learnt: wanted (the share of the best), ndcg, ndcg_by_position."""
    from tokenrec.dataset.lists import make_lists
    from tokenrec.dataset.load import load_dataset
    from tokenrec.dataset.types import FIT, TEST
    from tokenrec.evidence.arms import measure_arms
    from tokenrec.evidence.by_position import by_position
    from tokenrec.recipe.load import load_recipe

    loaded = {n: load_recipe(root / f"{n}.yaml") for n in ("plain", "weighed")}
    plain, weighed = (load_dataset(x.recipe, x.folder) for x in loaded.values())
    test = make_lists(weighed, TEST)
    fits = {"plain": make_lists(plain, FIT), "weighed": make_lists(weighed, FIT)}
    fits["weights alone"] = replace(fits["weighed"], shown=None)
    fits["negatives alone"] = replace(fits["weighed"], weight=None)
    found = {}
    for name, fit in fits.items():
        blocks = {"raw_text": tuple(columns(plain, lists, made) for lists in (fit, test))}
        scores = measure_arms(plain, fit, test, blocks, {"raw_text": ["raw_text"]}, settings, [0, 1, 2])
        found[name] = {
            "wanted": worth(scores.scores["raw_text"], plain, test, made),
            "ndcg": scores.mean("raw_text", "ndcg@10"),
            "ndcg_by_position": by_position(scores, "ndcg@10")[0]["value"],
        }
    return found


def columns(data, lists, made: Page):
    """Behaviour, which the page has bent, and what a text would say: the item's taste, and its quality blurred."""
    from tokenrec.features.types import Columns
    from tokenrec.ranking.behaviour import behaviour_columns

    user = np.array([int(data.user_ids[u][1:]) for u in lists.user])[lists.list_of_row]
    item = lists.item_of_row
    text = np.c_[made.taste[item] == made.want[user], made.blurred[item], made.house[item]].astype(np.float32)
    behaviour = behaviour_columns(data, lists)
    return Columns("raw_text", [*behaviour.names, "match", "quality", "house"], np.c_[behaviour.matrix, text])


def worth(score: np.ndarray, data, lists, made: Page) -> float:
    user = np.array([int(data.user_ids[u][1:]) for u in lists.user])[lists.list_of_row]
    wanted = made.wanted[user, lists.item_of_row]

    def top(by):
        order = np.lexsort((-by, lists.list_of_row))
        return np.mean([wanted[order[a : a + 10]].mean() for a in lists.indptr[:-1]])

    return float(top(score) / top(wanted))


def main() -> None:
    from tokenrec.ranking.ranker import GRID

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for seed in range(options.worlds):
        made = page_world(seed)
        with tempfile.TemporaryDirectory() as folder:
            write_world(Path(folder), made)
            for settings in (replace(GRID[0], rounds=60), replace(GRID[3], rounds=60)):
                found = measure(Path(folder), made, settings)
                rows += [{"seed": seed, "objective": settings.objective, "learnt": n, **f} for n, f in found.items()]
    if options.json:
        print(json.dumps({"worlds": options.worlds, "rows": rows}))
        return
    for objective in dict.fromkeys(r["objective"] for r in rows):
        for learnt in dict.fromkeys(r["learnt"] for r in rows):
            mine = [r for r in rows if (r["objective"], r["learnt"]) == (objective, learnt)]
            said = ", ".join(
                f"{name} {np.mean([r[key] for r in mine]):.3f} ({min(r[key] for r in mine):.3f} to "
                f"{max(r[key] for r in mine):.3f})"
                for name, key in (("wanted", "wanted"), ("NDCG@10", "ndcg"), ("weighed", "ndcg_by_position"))
            )
            print(f"{objective:16} {learnt:16} {said}")


if __name__ == "__main__":
    main()

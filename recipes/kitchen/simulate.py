"""The SIMULATED users of the bundled kitchen: who cooked which dish, when, and what they gave it.

The dishes are real, the people are not. README.md states the rule of this world in a few lines; the
constants below are its parameters. `labels.jsonl` (what a dish tastes like) is read here and nowhere
near the features: whether an LM can guess it from the facts is what the demo measures.

    python simulate.py                    # writes events.csv
    python simulate.py --twin --out ...   # the twin world: neither taste nor cuisine counts
    python simulate.py --stats            # summary statistics, beside Food.com's where they are at hand

Every draw comes from the raw bits of PCG64, so that numpy versions agree on the file byte by byte.
"""

import argparse
import csv
import datetime
import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
DISHES, LABELS = HERE / "dishes.jsonl", HERE / "labels.jsonl"
SEED = 7
USERS = 2000
START = datetime.date(2023, 1, 1)
DAYS = 730


@dataclass(frozen=True)
class World:
    """The rule of the world. Strengths are in units of the choice noise (a standard Gumbel)."""

    mean_events: float = 18.0  # events a user, heavy tailed, at least 3
    zipf: float = 1.2  # appeal of a dish ~ (1 + rank / 8)^-zipf, in random order: how often it is seen
    slate: int = 30  # dishes that a user sees before choosing one
    taste: float = 2.5  # sd of a user's liking over dishes that comes from taste labels
    texture: float = 0.4
    occasion: float = 0.5
    cuisine: float = 0.8  # half from the region of the world, half from the cuisine itself
    habit: float = 1.2  # the ingredients that a user is in the habit of cooking with
    quality: float = 0.4  # liked by everyone, unrelated to labels
    session: float = 0.7  # a second dish of one evening comes from the same region
    drift: float = 0.5  # share of a user's taste (by variance) that is new at the end of the time line
    repeat: float = 0.02  # chance that dishes cooked before are back on the slate
    late: float = 0.25  # share of dishes that arrive in the last 35% of the time line
    growing: float = 0.4  # share that arrives before that, but not at the start
    shelf: float = 0.5  # a new dish is featured: this share of the top appeal is added to its own
    shelf_time: float = 0.15  # for this share of the time line; then it lives by its own appeal
    rating_noise: float = 1.0
    rating_shares: tuple[float, ...] = (0.01, 0.015, 0.045, 0.18, 0.75)  # 1..5, about Food.com's


REGIONS = {
    "china": "sichuan, cantonese, jiangnan, northern chinese, hunan, taiwanese",
    "japan and korea": "japanese, korean",
    "southeast asia": "thai, vietnamese, malaysian, singaporean, indonesian, filipino",
    "south asia": "north indian, south indian, bengali, pakistani, sri lankan",
    "middle east": "persian, turkish, levantine, georgian, uzbek, egyptian, moroccan",
    "africa": "ethiopian, nigerian, south african",
    "western europe": "french, british, german, austrian, swiss, scandinavian",
    "mediterranean": "italian, spanish, portuguese, greek",
    "eastern europe": "hungarian, polish, russian, ukrainian, balkan",
    "north america and the pacific": "american, southern us, cajun, canadian, hawaiian, australian",
    "latin america": "mexican, tex-mex, peruvian, brazilian, argentine, colombian, cuban, jamaican",
}
REGION_OF = {cuisine: region for region, names in REGIONS.items() for cuisine in names.split(", ")}


class Draws:
    """Uniform and normal draws that depend on the seed alone: additions and products of raw bits."""

    def __init__(self, seed: int):
        self._bits = np.random.PCG64(seed)

    def uniform(self, *shape: int) -> np.ndarray:
        """float64[shape] in (0, 1)."""
        raw = self._bits.random_raw(int(np.prod(shape, dtype=int))) >> np.uint64(12)
        return ((raw.astype(np.float64) + 0.5) * 2.0**-52).reshape(shape)

    def normal(self, *shape: int) -> np.ndarray:
        """float64[shape], mean 0, variance 1: the sum of twelve uniforms less six (Irwin-Hall)."""
        total = np.full(shape, -6.0)
        for _ in range(12):
            total = total + self.uniform(*shape)
        return total

    def gumbel(self, *shape: int) -> np.ndarray:
        return -np.log(-np.log(self.uniform(*shape)))

    def order(self, n: int) -> np.ndarray:
        return np.argsort(self.uniform(n), kind="stable")


def read_jsonl(path: Path) -> list[dict]:
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def ingredient_words(dish: dict) -> list[str]:
    return re.findall(r"[^\W\d_]+", " ".join(dish["ingredients"]))


def indicator(values: list[list[str]], rare: bool = False) -> np.ndarray:
    """Multi-hot float64[n, vocabulary], each row of length 1, columns centred; `rare` weighs by 1/share."""
    vocabulary = sorted({v for row in values for v in row})
    hot = np.array([[float(v in row) for v in vocabulary] for row in values])
    if rare:
        hot *= np.sqrt(1 / hot.mean(0))
    hot /= np.sqrt(np.maximum((hot**2).sum(1, keepdims=True), 1))
    return hot - hot.mean(0)


def liking(draws: Draws, features: np.ndarray, users: int) -> np.ndarray:
    """float64[users, dishes]: random user weights over the features, at unit variance over the catalogue."""
    score = draws.normal(users, features.shape[1]) @ features.T
    return score / np.sqrt((score**2).mean())


def arrivals(draws: Draws, n: int, world: World) -> np.ndarray:
    """float64[n] in [0, 1): when each dish joins the catalogue; 0 for those that were always there."""
    arrive, order = np.zeros(n), draws.order(n)
    late, growing = round(n * world.late), round(n * world.growing)
    arrive[order[:late]] = 0.65 + 0.33 * (np.arange(late) + 0.5) / late
    arrive[order[late : late + growing]] = 0.65 * (np.arange(growing) + 0.5) / growing
    return arrive


def diaries(draws: Draws, users: int, world: World) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """When each user cooks: (events a user int[users], day share float[users, most], same evening bool)."""
    spread = np.exp(0.8 * draws.normal(users))
    counts = np.clip(np.rint(spread / spread.mean() * (world.mean_events - 3)) + 3, 3, 150).astype(int)
    most = int(counts.max())
    joined = np.where(draws.uniform(users) < 0.6, 0.0, 0.8 * draws.uniform(users))[:, None]
    when = joined + (1 - joined) * draws.uniform(users, most)
    when[np.arange(most)[None, :] >= counts[:, None]] = 2.0  # after the end: sorted behind the real ones
    when.sort(axis=1)
    together = draws.uniform(users, most) < 0.35
    together[:, 0] = False
    for k in range(1, most):  # a dish cooked on the evening of the one before
        when[:, k] = np.where(together[:, k] & (when[:, k] < 2), when[:, k - 1], when[:, k])
    return counts, when, together


def simulate(seed: int = SEED, twin: bool = False, users: int = USERS, world: World = World()) -> list[tuple]:
    """Rows (user, dish_id, ISO date, rating 1..5) in time order.

    In the twin world liking (taste, texture, occasion, cuisine, habit, session) counts nothing; appeal,
    quality, arrivals, diaries and chance stay. Raises ValueError when a dish has no label or region.
    """
    dishes = read_jsonl(DISHES)
    labels = {row["dish_id"]: row for row in read_jsonl(LABELS)}
    for d in dishes:
        if d["dish_id"] not in labels or d["cuisine"] not in REGION_OF:
            raise ValueError(f"{d['dish_id']}: wants a row in labels.jsonl and a cuisine ({d['cuisine']}) in REGIONS")
    truth = [labels[d["dish_id"]] for d in dishes]
    n, draws, on = len(dishes), Draws(seed), 0.0 if twin else 1.0

    regions = [REGION_OF[d["cuisine"]] for d in dishes]
    region = np.array([list(REGIONS).index(r) for r in regions])
    taste = indicator([t["taste"] for t in truth])
    before, after = liking(draws, taste, users), liking(draws, taste, users)
    fixed = world.texture * liking(draws, indicator([t["texture"] for t in truth]), users)
    fixed += world.occasion * liking(draws, indicator([[t["occasion"]] for t in truth]), users)
    fixed += world.cuisine * np.sqrt(0.5) * liking(draws, indicator([[r] for r in regions]), users)
    fixed += world.cuisine * np.sqrt(0.5) * liking(draws, indicator([[d["cuisine"]] for d in dishes]), users)
    fixed += world.habit * liking(draws, indicator([ingredient_words(d) for d in dishes], rare=True), users)
    quality = world.quality * draws.normal(n)
    appeal = (1 + draws.order(n) / 8.0) ** -world.zipf
    arrive = arrivals(draws, n, world)
    counts, when, together = diaries(draws, users, world)

    cooked = np.zeros((users, n), dtype=bool)
    last = np.full(users, -1)
    picked = []
    for k in range(when.shape[1]):
        who = np.flatnonzero(counts > k)
        t = when[who, k][:, None]
        news = world.shelf * ((arrive > 0) & (t - arrive < world.shelf_time))
        seen = np.where(arrive <= t, np.log(appeal + news), -700.0)
        again = draws.uniform(len(who), 1) < world.repeat
        seen = np.where(cooked[who] & ~again, -700.0, seen) + draws.gumbel(len(who), n)
        slate = np.argsort(-seen, axis=1, kind="stable")[:, : world.slate]
        new = np.sqrt(world.drift * t)
        mood = world.taste * (np.sqrt(1 - new**2) * before[who] + new * after[who]) + fixed[who]
        mood = mood + world.session * ((region == last[who][:, None]) & together[who, k][:, None])
        like = np.take_along_axis(on * mood + quality, slate, axis=1)
        best = np.argmax(np.round(like + draws.gumbel(*slate.shape), 9), axis=1)
        rows, dish = np.arange(len(who)), slate[np.arange(len(who)), best]
        cooked[who, dish], last[who] = True, region[dish]
        picked.append((who, dish, t[:, 0], like[rows, best] + world.rating_noise * draws.normal(len(who))))

    user, dish, time, felt = (np.concatenate(part) for part in zip(*picked, strict=True))
    ranks = (np.argsort(np.argsort(np.round(felt, 9), kind="stable"), kind="stable") + 0.5) / len(felt)
    rating = 1 + np.searchsorted(np.cumsum(world.rating_shares)[:-1], ranks)
    day = np.minimum((time * DAYS).astype(int), DAYS - 1)
    dates = [(START + datetime.timedelta(days=d)).isoformat() for d in range(DAYS)]
    return [
        (f"u{user[i] + 1:04d}", dishes[dish[i]]["dish_id"], dates[day[i]], int(rating[i]))
        for i in np.lexsort((np.arange(len(day)), user, day))
    ]


def write_events(rows: list[tuple], path: Path) -> None:
    """CSV with the header user_id,dish_id,at,rating; the same bytes on every system."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["user_id", "dish_id", "at", "rating"])
        writer.writerows(rows)


def statistics(rows: list[tuple], dishes: int | None = None) -> dict[str, str]:
    """Summary statistics of (user, item, sortable time, rating) rows, as text by name.

    `dishes` counts the whole catalogue; the dishes seen in the rows unless said. Ratings of 0 mean that
    none was given. "Before test" is before the last 15% of the events, "cold" is at most 2 ratings >= 4 there.
    """
    rows = sorted(rows, key=lambda row: row[2])
    _, user = np.unique([row[0] for row in rows], return_inverse=True)
    item_ids, item = np.unique([row[1] for row in rows], return_inverse=True)
    rating = np.array([row[3] for row in rows])
    n = dishes or len(item_ids)
    per_item = np.sort(np.bincount(item, minlength=n))
    gini = ((2 * np.arange(1, n + 1) - n - 1) * per_item).sum() / (n * len(rows))
    test, liked = np.arange(len(rows)) >= int(0.85 * len(rows)), rating >= 4
    cold = np.bincount(item[~test & liked], minlength=n) <= 2
    given = rating[rating > 0]

    def quartiles(counts: np.ndarray) -> str:
        return " / ".join(f"{q:.0f}" for q in np.quantile(counts, (0.25, 0.5, 0.75, 0.9)))

    return {
        "users": f"{user.max() + 1:,}",
        "dishes": f"{n:,}",
        "events": f"{len(rows):,}",
        "events a user, quartiles and 90%": quartiles(np.bincount(user)),
        "events a dish, quartiles and 90%": quartiles(per_item),
        "Gini of dish popularity": f"{gini:.2f}",
        "events on the top 10% of dishes": f"{per_item[-round(n / 10):].sum() / len(rows):.0%}",
        "ratings >= 4": f"{(given >= 4).mean():.1%}",
        "ratings of 5": f"{(given == 5).mean():.1%}",
        "no rating given": f"{(rating == 0).mean():.1%}",
        "events that repeat a user's dish": f"{1 - len(np.unique(user * n + item)) / len(rows):.1%}",
        "dishes cold before test": f"{cold.sum()} ({cold.mean():.0%})",
        "likes in test that fall on cold dishes": f"{cold[item[test & liked]].mean():.1%}",
    }


def foodcom(shared: Path) -> dict[str, list[tuple]]:
    """Rows of the Food.com excerpts at hand, by name; none where they (or pyarrow) are absent."""
    found: dict[str, list[tuple]] = {}
    dense, latest = shared / "foodcom_dense" / "ratings.parquet", shared / "recipes_demo" / "ratings.csv"
    if dense.is_file() and importlib.util.find_spec("pyarrow"):
        import pyarrow.parquet

        columns = pyarrow.parquet.read_table(dense).to_pydict()
        found["Food.com, dense"] = list(zip(*(columns[c] for c in ("user", "item", "order", "rating")), strict=True))
    if latest.is_file():
        with open(latest, encoding="utf-8", newline="") as file:
            rows = [(r["user"], r["item"], r["date"], int(float(r["rating"]))) for r in csv.DictReader(file)]
        found["Food.com, latest 20"] = rows
    return found


def table(columns: dict[str, dict[str, str]]) -> str:
    """A Markdown table: statistics down, worlds across."""
    names = list(columns)
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    lines += [f"| {k} | " + " | ".join(c[k] for c in columns.values()) + " |" for k in columns[names[0]]]
    return "\n".join(lines)


def main() -> None:
    """The command line; see the top of the file."""
    parser = argparse.ArgumentParser(description="Write the events of the kitchen's SIMULATED users.")
    parser.add_argument("--seed", type=int, default=SEED, help=f"another seed is another world (default {SEED})")
    parser.add_argument("--users", type=int, default=USERS, help=f"how many users (default {USERS})")
    parser.add_argument("--twin", action="store_true", help="the twin world: neither taste nor cuisine counts")
    parser.add_argument("--out", type=Path, help="where to write (default events.csv or twin.csv beside this file)")
    parser.add_argument("--stats", action="store_true", help="print summary statistics and write nothing")
    args = parser.parse_args()
    if args.users < 1 or args.seed < 0:
        parser.error("--users wants 1 or more, --seed 0 or more")
    rows = simulate(args.seed, args.twin, args.users)
    if args.stats:
        shared = HERE.parents[2] / "shared" / "data"
        both = {("twin (SIMULATED)" if args.twin else "kitchen (SIMULATED)"): statistics(rows, len(read_jsonl(DISHES)))}
        print(table(both | {name: statistics(r) for name, r in foodcom(shared).items()}))
        return
    out = args.out or HERE / ("twin.csv" if args.twin else "events.csv")
    write_events(rows, out)
    print(f"{len(rows):,} events of {args.users:,} SIMULATED users: {out}")


if __name__ == "__main__":
    main()

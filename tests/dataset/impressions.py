"""A shop whose pages of ten are in the house's order, which has nothing to do with what people want; who looks at
position k does so with probability 1/k."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

RECIPE = """\
name: page
data:
  items: {path: items.csv, id: id, text: [name]}
  events: {path: events.csv, user: user, item: item, time: at}
"""


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
    seed: int = 0, users: int = 700, items: int = 150, days: int = 100, most: int = 10, tastes: int = 6, knows: float = 0
) -> Page:
    """`knows`: how far the house's order goes by quality."""
    rng = np.random.default_rng(seed)
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
    names = "".join(f"i{i:03},thing {i}\n" for i in range(len(made.taste)))
    (root / "items.csv").write_text("id,name\n" + names)
    (root / "events.csv").write_text("user,item,at\n" + "".join(f"{u},{i},{t}\n" for u, i, t in made.taken))
    (root / "shown.csv").write_text("user,item,place,at\n" + "".join(f"{u},{i},{k},{t}\n" for u, i, k, t in made.shown))
    (root / "tokenrec.yaml").write_text("store: s.db\n")

"""Worlds in which it is known how good every prompt is: real people, or SIMULATED ones, and a scripted LM.

A world of last.fm is three quarters of its people, drawn anew, on the 200 most played artists, half of which (drawn
anew) have no history, so that only a text can tell what they are like. The truth about an artist is its place in a
factor model of the *other* people's plays, which no ranker of that world sees. Everybody has a history and is either
ranked to fit, in tune-A or in tune-B, with all later plays. In the kitchen diners are drawn anew, and the truth is a
dish's labels.
"""

import gzip
import re
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

ARTISTS, USERS, FACTORS = 200, 1200, 8  # of last.fm; of the kitchen; of the truth
PEOPLE, NEW = 0.75, 0.5  # shares of last.fm: people in a world; artists that lose their history
PARTS = (0.27, 0.33, 0.40)  # of the people: ranked to fit, in tune-A, in tune-B
COMMON = 0.6  # of the noise's variance is the model's own, in whatever prompt: it errs alike about an artist
RAW = 0.2  # what an item's own text tells of the truth


class ScriptedLM:
    """Answers with a text's encoding: `share` of the truth about an item and, for the rest, noise.

    COMMON of the noise is the model's, the rest comes anew with every word of an instruction.
    """

    def __init__(self, truth: np.ndarray, world: int):
        self.truth, self.world = truth, world

    def write(self, instruction: str):
        """Vectors of all items. The instruction says how much of the taste to heed."""
        from tokenrec.features.types import Vectors

        share = float(re.search(r"heed ([\d.]+)%", instruction)[1]) / 100
        noise = np.sqrt(COMMON) * self._noise("model") + np.sqrt(1 - COMMON) * self._noise(instruction)
        matrix = (share * self.truth + np.sqrt(1 - share**2) * noise).astype(np.float32)
        columns = [f"e{i}" for i in range(matrix.shape[1])]
        return [Vectors("planted", "text", "item", matrix, columns, False, "planted")]

    def _noise(self, of: str) -> np.ndarray:
        from tokenrec.ids import unit_hash

        rng = np.random.default_rng(int(unit_hash("planted", self.world, of) * 2**53))
        noise = rng.normal(size=self.truth.shape)
        return noise / np.linalg.norm(noise, axis=1, keepdims=True)


def instruction(share: float, draft: int) -> str:
    return f"Say what it is like, heed {100 * share:.2f}% of it. Draft {draft}."


@dataclass
class World:
    """One draw of people: a session as compile has it before the search, and the model that writes."""

    session: object
    lm: ScriptedLM


def lastfm(seed: int, data: Path) -> World:
    """A world of last.fm's people (see the module)."""
    from tokenrec.dataset.types import FIT, HISTORY, TUNE_A, TUNE_B, Events
    from tokenrec.features.profiles import factors, liked_matrix

    loaded, dataset = _lastfm(data)
    rng, e, n = np.random.default_rng([11, seed]), dataset.events, len(dataset.user_ids)
    mine, part = rng.permutation(n) < PEOPLE * n, rng.choice([FIT, TUNE_A, TUNE_B], n, p=PARTS)
    held = rng.random(len(dataset.item_ids)) < NEW
    _, right = factors(liked_matrix(dataset, ~mine[e.user]), FACTORS)
    keep = mine[e.user] & ~(held[e.item] & (e.window == HISTORY))
    window = np.where(e.window == HISTORY, HISTORY, part[e.user]).astype(np.int8)
    parts = [getattr(e, f)[keep] for f in ("user", "item", "time", "value", "positive")]
    return _world(seed, loaded, replace(dataset, events=Events(*parts, window[keep]), held=held), right)


@cache
def _lastfm(data: Path):
    """(recipe, everybody) on the most played artists."""
    from tokenrec.dataset.load import load_dataset
    from tokenrec.recipe.load import load_recipe

    plays = []
    for part in ("train", "test"):
        with gzip.open(data / "colakg_lastfm" / f"{part}.csv.gz", "rt", encoding="utf-8") as file:
            plays += [line.strip().split(",") for line in file][1:]
    kept = {item for item, _ in Counter(row[1] for row in plays).most_common(ARTISTS)}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "tokenrec.yaml").write_text("store: store.db\n")
        (root / "items.csv").write_text("item,name\n" + "".join(f"{i},artist {i}\n" for i in sorted(kept)))
        lines = (",".join(row) for row in plays if row[1] in kept)
        (root / "plays.csv").write_text("user,item,listen_count\n" + "\n".join(lines) + "\n")
        (root / "planted.yaml").write_text(LASTFM)
        loaded = load_recipe(root / "planted.yaml")
        return loaded, load_dataset(loaded.recipe, root)


LASTFM = """\
name: planted
data:
  items: {path: items.csv, id: item, name: name, text: [name]}
  events: {path: plays.csv, user: user, item: item, value: listen_count}
  split: {by: user}
tasks:
  planted:
    for: item
    inputs: [name]
    write: Say what it sounds like.
    outputs: {text: {type: text, grounding: open}}
"""


def kitchen(seed: int, data: Path | None = None) -> World:
    """SIMULATED diners of the bundled kitchen; the truth of a dish is its labels."""
    from tokenrec.dataset.load import load_dataset, load_labels
    from tokenrec.features.vectors import oracle
    from tokenrec.recipe.load import load_recipe

    sys.path.insert(0, str(ROOT / "recipes/kitchen"))
    import simulate

    loaded = load_recipe(ROOT / "recipes/recipe_app.yaml", check_files=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.csv"
        simulate.write_events(simulate.simulate(seed=seed, users=USERS), path)
        given = loaded.recipe.data
        changed = given.model_copy(update={"events": given.events.model_copy(update={"path": str(path)})})
        loaded = replace(loaded, recipe=loaded.recipe.model_copy(update={"data": changed}))
        dataset = load_dataset(loaded.recipe, loaded.folder)
    labels = oracle(loaded.recipe, dataset, load_labels(loaded.recipe, loaded.folder))
    return _world(seed, loaded, dataset, np.concatenate([v.matrix for v in labels if v.output == "taste"], axis=1))


def _world(seed: int, loaded, dataset, truth: np.ndarray) -> World:
    from tokenrec.compiler.session import Session
    from tokenrec.dataset.types import FIT, TUNE_A, TUNE_B
    from tokenrec.lm.meter import Meter
    from tokenrec.ranking.ranker import Settings
    from tokenrec.store.store import open_store

    truth = np.nan_to_num(truth - np.nanmean(truth, axis=0))
    truth /= np.maximum(np.linalg.norm(truth, axis=1, keepdims=True), 1e-9)
    session = Session(loaded, dataset, open_store(":memory:"), f"planted{seed}", SimpleNamespace(), Meter())
    session.raw = ScriptedLM(truth, -1 - seed).write(instruction(RAW, 0))[0]  # not the model's: nor is its noise
    session.settings = Settings(rounds=40, negatives=40)
    session.make_lists((FIT, TUNE_A, TUNE_B))
    return World(session, ScriptedLM(truth, seed))


SOURCES = {"lastfm": lastfm, "kitchen": kitchen}

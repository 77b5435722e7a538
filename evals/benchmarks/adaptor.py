"""How long do KAR's adaptor and PCA take for one text, by number of events?

    python evals/benchmarks/adaptor.py [--events 200000] [--items 2000] [--json]

Made-up people (each likes one of 20 directions of made-up 384-d vectors) and MovieLens' shape, 17 events a user: it is
about time alone. One source's 3 x 3 adaptors (folds over users and items) with the published numbers, as `ranker:
{adaptor: {}}` has them, beside the principal components in the same run, in seconds of CPU on as many threads as there
are.
"""

import argparse
import csv
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

RECIPE = """\
name: many
data:
  simulated: true
  items: {path: items.csv, id: item, text: [item]}
  events: {path: events.csv, user: user, item: item, time: at}
"""


def world(folder: Path, n_events: int, n_items: int) -> np.ndarray:
    """The files of a project; float32[n_items, 384] of the items' texts, in the order of their sorted ids."""
    rng, n_users = np.random.default_rng(3), n_events // 17
    centres = rng.normal(size=(20, 384))
    kind, taste = rng.integers(20, size=n_items), rng.integers(20, size=n_users)
    vectors = centres[kind] + rng.normal(size=(n_items, 384))
    (folder / "many.yaml").write_text(RECIPE, encoding="utf-8")
    (folder / "tokenrec.yaml").write_text("store: store.db\n", encoding="utf-8")
    with (folder / "items.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["item"], *([f"i{i:06}"] for i in range(n_items))])
    own = [np.flatnonzero(kind == k) for k in range(20)]
    with (folder / "events.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["user", "item", "at"])
        for u in range(n_users):
            some = np.union1d(rng.choice(own[taste[u]], 9), rng.integers(n_items, size=9))
            rows.writerows((f"u{u}", f"i{i:06}", int(t)) for i, t in zip(some, rng.integers(10**6, size=len(some))))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    from tokenrec.compiler.session import open_session
    from tokenrec.dataset.types import FIT
    from tokenrec.features.adapted import fit_pca
    from tokenrec.features.types import Vectors
    from tokenrec.recipe.load import load_recipe
    from tokenrec.recipe.models import AdaptorModel

    with tempfile.TemporaryDirectory() as scratch:
        vectors = world(Path(scratch), options.events, options.items)
        session = open_session(load_recipe(Path(scratch) / "many.yaml"), "adaptor")
        session.raw = Vectors("raw_text", "text", "item", vectors, [""] * 384, False, "made up")
        session.make_lists((FIT,))
        session.fit_margin()
        found = {"events": len(session.dataset.events), "items": options.items, "fit_lists": len(session.lists[FIT])}
        for name, fit in (("pca", lambda: fit_pca(vectors)),
                          ("adaptor", lambda: session.adaptor_of([session.raw], [], AdaptorModel()))):  # fmt: skip
            began, cpu = time.perf_counter(), time.process_time()
            made = fit()
            found[name] = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu,
                           "fitted": len(made.adaptors)}  # fmt: skip
        session.db.conn.close()
    if options.json:
        print(json.dumps(found))
        return 0
    print(f"{found['events']:,} events, {found['items']:,} items, {found['fit_lists']:,} fit lists")
    for name in ("pca", "adaptor"):
        print(f"{name:8} {found[name]['cpu_seconds']:7.1f} s of CPU, {found[name]['seconds']:.1f} s")
    print(f"ratio {found['adaptor']['cpu_seconds'] / max(found['pca']['cpu_seconds'], 1e-9):.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Does tokenrec cry wolf? Worlds in which neither taste nor cuisine counts, and how often a task "helps" there.

    python evals/benchmarks/twin.py --seeds 20 [--true] [--json]

Each seed simulates new kitchen users (recipes/kitchen/simulate.py, twin) and runs the ordinary features,
arms, placebo draws and verdicts on two kinds of tokens, with no LM: the true labels (the strongest tokens
that there could be: in the twin they must not help either), one task a label field; and, when the recipe app
was compiled before, its stored tags. With --true the ordinary world is used instead: then labels should help.
"""

import argparse
import dataclasses
import importlib.util
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.stats import binom

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def simulator():
    spec = importlib.util.spec_from_file_location("simulate", ROOT / "recipes/kitchen/simulate.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["simulate"] = module
    spec.loader.exec_module(module)
    return module


def one_world(seed: int, twin: bool, users: int, rankers: int = 3) -> tuple[list, bool]:
    """(leaderboard rows, whether the arm of all placebos is significantly above raw_text) of one world."""
    from tokenrec.compiler.baseline import settings_and_power
    from tokenrec.compiler.evidence import PLACEBO_DRAWS
    from tokenrec.compiler.session import Session, embed_items, make_columns
    from tokenrec.dataset.load import load_dataset, load_labels
    from tokenrec.dataset.types import FIT, TEST
    from tokenrec.encoders.encoder import open_encoder
    from tokenrec.evidence.arms import measure_arms
    from tokenrec.evidence.statistics import compare
    from tokenrec.evidence.verdicts import leaderboard
    from tokenrec.features.columns import shuffle_vectors
    from tokenrec.features.vectors import oracle
    from tokenrec.lm.meter import Meter
    from tokenrec.recipe.load import load_recipe
    from tokenrec.report.progress import Stages
    from tokenrec.store.store import open_store

    simulate = simulator()
    loaded = load_recipe(ROOT / "recipes/recipe_app.yaml", check_files=False)
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder) / "events.csv"
        simulate.write_events(simulate.simulate(seed=seed, twin=twin, users=users), events)
        data = loaded.recipe.data
        recipe = loaded.recipe.model_copy(
            update={"data": data.model_copy(update={"events": data.events.model_copy(update={"path": str(events)})})}
        )
        dataset = load_dataset(recipe, loaded.folder)
    loaded = dataclasses.replace(loaded, recipe=recipe)
    db = open_store(Path(tempfile.gettempdir()) / "tokenrec-twin.db")  # vectors of dishes, shared by the seeds
    session = Session(loaded, dataset, db, f"twin{seed}", open_encoder(loaded.project, recipe.lm.encoder), Meter())
    embed_items(session, lambda done, total: None)
    session.make_lists()
    settings_and_power(session, Stages(None))
    tasks = {v.output: [v] for v in oracle(recipe, dataset, load_labels(recipe, loaded.folder))}
    base = ["behaviour", "raw_text"]
    blocks = session.base(TEST)
    arms = {"raw_text": base}

    def block(name, vectors):
        blocks[name] = tuple(make_columns(name, vectors, dataset, session.lists[w]) for w in (FIT, TEST))

    for name, vectors in tasks.items():
        block(name, vectors)
        arms[f"raw_text+{name}"] = [*base, name]
        for d in range(PLACEBO_DRAWS):
            block(f"{name}~{d}", [shuffle_vectors(v, d) for v in vectors])
            arms[f"raw_text+{name}~placebo{d + 1}"] = [*base, f"{name}~{d}"]
    arms["placebo"] = [*base, *[f"{name}~0" for name in tasks]]
    scores = measure_arms(
        dataset, session.lists[FIT], session.lists[TEST], blocks, arms, session.settings, list(range(rankers))
    )
    metric = recipe.objective.metric
    placebo = compare(scores, "placebo", "raw_text", metric)
    db.conn.close()
    return leaderboard(scores, list(tasks), metric), placebo.interval()[0] > 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1000, help="the first seed")
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--true", action="store_true", help="the ordinary world instead of the twin")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    verdicts, lifts, family, placebos = Counter(), [], 0, 0
    for seed in range(options.first, options.first + options.seeds):
        rows, placebo = one_world(seed, not options.true, options.users)
        verdicts.update(r.verdict for r in rows)
        lifts += [r.lift for r in rows]
        family += any(r.verdict == "helps" for r in rows)
        placebos += placebo
        if not options.json:
            said = ", ".join(f"{r.task} {r.lift:+.4f} [{r.low:+.4f}, {r.high:+.4f}] {r.verdict}" for r in rows)
            print(f"seed {seed}: {said}{'; placebo above raw_text' if placebo else ''}", flush=True)
    allowed = int(binom.ppf(0.975, options.seeds, 0.025))
    result = {
        "world": "true" if options.true else "twin", "seeds": options.seeds, "verdicts": dict(verdicts),
        "worlds_with_a_helps": family, "placebo_above_raw_text": placebos, "allowed_at_2.5_percent": allowed,
        "mean_lift": float(np.mean(lifts)), "sd_lift": float(np.std(lifts)),
    }  # fmt: skip
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

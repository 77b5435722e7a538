"""Which texts to pay for: the lift that a share of the calls keeps, by how the subjects are chosen. On last.fm.

    python evals/benchmarks/selective.py [DATA] [--artists N] [--shares .1,.2,.3,.4,.6] [--draws 3] [--json]

DATA holds colakg_lastfm (../shared/data). The catalogue says an artist's name and tags; the texts are CoLaKG's,
recorded. A fifth of the artists loses its history, as if they were new, and keeps its later plays as labels
(item_holdout; nothing says when a play was, so that windows are cut by hash). The objective is NDCG@20 on these (slice
cold_items): there the texts have a lift. `generate:` chooses as in a recipe, by tune-A alone; what it chose is then
ranked on test, which it never sees.
uplift pays for its pilot out of the same budget. random is the mean of --draws draws. Intervals are two-way (users and
items), 95%, not adjusted for the number of comparisons. `--on tune_b` shows the same without reading test.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(Path(__file__).parent))

METRIC, SLICE = "ndcg@20", "cold_items"
RECIPE = """\
name: lastfm_new
data:
  items: {path: items.csv, id: item, name: name, text: [name, tags], facts: [llm_text]}
  events: {path: plays.csv, user: user, item: item, value: listen_count}
  split: {by: item_holdout}
objective: {metric: ndcg@20, slice: cold_items}
ranker: {seeds: SEEDS}
tasks:
  about:
    for: item
    inputs: [name, tags]
    write: Describe the artist.
    outputs: {text: {type: text, grounding: open}}
"""


def opened(data: Path, folder: Path, artists: int, seeds: int):
    """(session, the texts' vectors): lists and columns as compile has them."""
    import worlds_of_texts

    from tokenrec.features.types import Vectors
    from tokenrec.recipe.data import Split

    recipe = RECIPE.replace("SEEDS", str(seeds))
    session = worlds_of_texts.lastfm(data, folder, artists, Split().seed, recipe, choose=True)
    matrix = session.encoder.encode(session.db, [item["llm_text"] for item in session.dataset.items])
    columns = [f"e{i}" for i in range(matrix.shape[1])]
    return session, Vectors("about", "text", "item", matrix, columns, False, session.encoder.encoder_id)


def only(vectors, codes: np.ndarray):
    """The vectors of the chosen subjects; the others have no text."""
    matrix = np.full_like(vectors.matrix, np.nan)
    matrix[codes] = vectors.matrix[codes]
    return replace(vectors, matrix=matrix)


def chosen(session, texts, select: str, share: float) -> np.ndarray:
    """Codes that `generate: {select, budget}` chooses; the pilot of uplift is read off the recorded texts."""
    from tokenrec.compiler import selecting
    from tokenrec.recipe.tasks import Generate
    from tokenrec.tasks.spec import task_spec

    spec = task_spec(session.recipe, "about")
    rule = Generate(select=select, budget=f"{100 * share:g}%")
    spec = replace(spec, task=spec.task.model_copy(update={"generate": rule}))
    session.db.execute("delete from chosen")
    found = selecting.select(session, spec, 1)
    if found.pilot:
        selecting.choose_rest(session, spec, found, [only(texts, found.codes)])
        found = selecting.select(session, spec, 1)
    return found.codes


def drawn(n: int, share: float, draw: int) -> np.ndarray:
    return np.sort(np.random.default_rng([draw, 7]).permutation(n)[: round(share * n)])


def frontier(session, texts, shares: list[float], draws: int, window: int, seeds: int, say) -> dict:
    """The document: a row a way of choosing and share, and the arms that it rests on."""
    from tokenrec.compiler.session import make_columns
    from tokenrec.dataset.types import FIT, TEST
    from tokenrec.evidence.arms import measure_arms
    from tokenrec.evidence.statistics import compare

    n = len(session.dataset.item_ids)
    lists = session.lists[FIT], session.lists[window]
    base = session.base(window)
    every = None

    def arm(name: str, codes: np.ndarray | None) -> None:
        nonlocal every
        began, blocks = time.perf_counter(), dict(base)
        if codes is not None:
            blocks["about"] = tuple(make_columns("about", [only(texts, codes)], session.dataset, w) for w in lists)
        one = measure_arms(
            session.dataset, *lists, blocks, {name: list(blocks)}, session.settings, list(range(seeds))
        )
        every = every or one
        every.take(one, name)
        share = 0 if codes is None else len(codes) / n
        say(f"{name:12} {share:4.0%} {one.mean(name, METRIC, SLICE):.4f} all {one.mean(name, METRIC):.4f} "
            f"({time.perf_counter() - began:.0f} s)")  # fmt: skip

    arm("raw_text", None)
    arm("full", np.arange(n))
    names: dict[tuple[str, float], list[str]] = {}
    for share in shares:
        for select in ("uplift", "cold"):
            names[select, share] = [f"{select} {share:g}"]
            arm(f"{select} {share:g}", chosen(session, texts, select, share))
        names["random", share] = [f"random {share:g} {d}" for d in range(draws)]
        for d, name in enumerate(names["random", share]):
            arm(name, drawn(n, share, d))
    whole = compare(every, "full", "raw_text", METRIC, SLICE)
    rows = []
    for (select, share), arms in names.items():
        lift = _negative(compare(every, "raw_text", arms, METRIC, SLICE))
        row = {"select": select, "share": share, **_figure("lift", lift), "retained": lift.value / whole.value}
        row |= _figure("lift_all", _negative(compare(every, "raw_text", arms, METRIC)))
        if select == "uplift":
            for other in ("random", "cold"):
                row |= _figure(f"over_{other}", compare(every, arms[0], names[other, share], METRIC, SLICE))
        rows.append(row)
    return {
        "data": "lastfm", "artists": n, "held_out": float(session.dataset.held.mean()), "metric": METRIC,
        "slice": SLICE, "window": "test" if window == TEST else "tune_b", "lists": whole.n, "seeds": seeds,
        "draws": draws, "raw_text": every.mean("raw_text", METRIC, SLICE), **_figure("full_lift", whole),
        **_figure("full_lift_all", compare(every, "full", "raw_text", METRIC)), "frontier": rows, **_bar(rows),
    }  # fmt: skip


def _negative(difference):
    return replace(difference, value=-difference.value)


def _figure(name: str, difference) -> dict:
    low, high = difference.interval()
    return {name: difference.value, f"{name}_low": low, f"{name}_high": high}


def _bar(rows: list[dict]) -> dict:
    """The smallest share that keeps 90% of the full lift, by how it was chosen; null where none does."""
    reached = {}
    for select in ("uplift", "cold", "random"):
        enough = [r["share"] for r in rows if r["select"] == select and r["retained"] >= 0.9]
        reached[select] = min(enough, default=None)
    best = reached["uplift"]
    beats = all(reached[o] is None or best is not None and best < reached[o] for o in ("cold", "random"))
    return {"share_for_90": reached, "bar_met": best is not None and best <= 0.4 and beats}


def table(doc: dict) -> str:
    """Markdown."""
    lines = [
        f"{doc['artists']:,} artists, {doc['lists']:,} lists of {doc['window']}; {doc['metric']} on {doc['slice']}: "
        f"raw_text {doc['raw_text']:.4f}, lift of all texts {_shown(doc, 'full_lift')}; "
        f"on all items {_shown(doc, 'full_lift_all')}", "",
        "| share | choice | lift | of the full lift | over random | over cold | on all items |",
        "|---|---|" + "---:|" * 5,
    ]  # fmt: skip
    for r in doc["frontier"]:
        over = [_shown(r, f"over_{o}") if f"over_{o}" in r else "" for o in ("random", "cold")]
        lines.append(f"| {r['share']:.0%} | {r['select']} | {_shown(r, 'lift')} | {r['retained']:.0%} | {over[0]} "
                     f"| {over[1]} | {_shown(r, 'lift_all')} |")  # fmt: skip
    said = ", ".join(f"{k} {v:.0%}" if v else f"{k} none of these" for k, v in doc["share_for_90"].items())
    return "\n".join([*lines, "", f"90% of the full lift with: {said}. Bar met: {'yes' if doc['bar_met'] else 'no'}"])


def _shown(row: dict, name: str) -> str:
    return f"{row[name]:+.4f} ({row[f'{name}_low']:+.4f} to {row[f'{name}_high']:+.4f})"


def main() -> int:
    from tokenrec.dataset.types import TEST, TUNE_B

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = ROOT.parent / "shared" / "data"
    parser.add_argument("data", type=Path, nargs="?", default=shared, help="folder of colakg_lastfm")
    parser.add_argument("--artists", type=int, default=3000, help="the most played artists; all 2,813 unless said")
    parser.add_argument("--shares", default=".1,.2,.3,.4,.6")
    parser.add_argument("--draws", type=int, default=3, help="of random (3)")
    parser.add_argument("--seeds", type=int, default=2, help="ranker seeds (2)")
    parser.add_argument("--on", choices=("test", "tune_b"), default="test")
    parser.add_argument("--store", type=Path, help="keep encoded texts there")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not (options.data / "colakg_lastfm").is_dir():
        parser.error(f"{options.data}/colakg_lastfm is not here: name the folder that holds it")

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.store or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        session, texts = opened(options.data, folder, options.artists, options.seeds)
        shares, window = [float(s) for s in options.shares.split(",")], TEST if options.on == "test" else TUNE_B
        found = frontier(session, texts, shares, options.draws, window, options.seeds, say)
    print(json.dumps(found, indent=2) if options.json else table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())

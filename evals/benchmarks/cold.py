"""New items: what does text bring to those without a history, and does KAR's adaptor bring more than plain columns?

    python evals/benchmarks/cold.py DATASET [--json] [--store FOLDER] [--users N] [--on tune|test]
                                    [--columns WHICH] [--factors]
                                    [--writer MODEL | --recorded FILE]

DATASET is a folder, told by its files:

    movies.csv, ratings.csv     MovieLens and whatever looks like it: movieId,title,genres; userId,movieId,rating,
                                timestamp. Knowledge by recipes/movies.yaml, asked of MODEL (default: the bundled one,
                                which knows next to nothing) or replayed from FILE: {"task", "subject", "output"} a
                                line, as `tokenrec export --completions` writes it
    dishes.jsonl, events.csv    the kitchen: recipes/kitchen_knowledge.yaml, live, by the bundled model; SIMULATED users
    llm_items.jsonl.gz, ...     last.fm, shared/data/colakg_lastfm: CoLaKG's recorded texts, replayed

A fifth of the items loses its history (split: item_holdout), and metrics are those of these items among the whole
catalogue. Arms are compile's; beside raw_text, raw_text+tokens and placebo stand, with columns made of every text of
theirs in addition:

    @adaptor    KAR's adaptor, out of fold: --columns pair (its score and the cosine of both 32-d vectors), products
                (also their products), vectors (also both, as published)
    @pca        the same columns of 32 principal components, whose score is a dot product

Plain similarities (profile, closest, mapped) are in every arm with text. Intervals are 95%, two-way (users and items).
Nothing is chosen on test: --on tune measures on tune-A, where one may choose. Nothing is written into this project.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

K = 20  # of last.fm, as DESIGN gives its references; recipes say their own
COLUMNS = ("pair", "products", "vectors")
KINDS = {"movielens": "movies.csv", "kitchen": "dishes.jsonl", "lastfm": "llm_items.jsonl.gz"}
WITH_TEXT = ("raw_text", "raw_text+tokens", "placebo")


def which(folder: Path) -> str:
    for kind, file in KINDS.items():
        if (folder / file).is_file():
            return kind
    raise SystemExit(f"{folder} holds none of {', '.join(KINDS.values())}: name a folder that does")


def project(folder: Path, root: Path, writer: str | None, recorded: Path | None) -> Path:
    """A project in `root` on the files of `folder`; the path of its recipe."""
    import yaml

    kind = which(folder)
    if kind == "lastfm":
        from evals.benchmarks import evidence

        more = {"objective": {"metric": f"ndcg@{K}", "slice": "cold_items"}, "ranker": {"k": K}}
        return evidence.project(evidence.lastfm(folder), root, "item_holdout", **more)
    name = {"movielens": "movies", "kitchen": "kitchen_knowledge"}[kind]
    recipe = yaml.safe_load((ROOT / f"recipes/{name}.yaml").read_text(encoding="utf-8"))
    for part in ("items", "events"):
        recipe["data"][part]["path"] = str(folder / Path(recipe["data"][part]["path"]).name)
    config: dict[str, Any] = {"store": "store.db", "allow_outside": True}
    if recorded:
        config["models"] = {"recorded": {"kind": "replay", "path": str(recorded.resolve())}}
    recipe["lm"] = {"writer": "recorded" if recorded else writer or "embedded"}
    root.mkdir(parents=True, exist_ok=True)
    (root / "tokenrec.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    file = root / f"{name}.yaml"
    file.write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return file


def measure(file: Path, stages, on: str, columns: str, users: int | None, factors: bool) -> dict[str, Any]:
    """Write what the store lacks, train all arms on fit and measure them; the document that `--json` prints."""
    from tokenrec.compiler.baseline import prepare_baseline
    from tokenrec.compiler.curve import WINDOWS
    from tokenrec.compiler.evidence import make_arms, metrics_of
    from tokenrec.compiler.leave_out import factor_lifts
    from tokenrec.compiler.promotion import count_look
    from tokenrec.compiler.session import open_session
    from tokenrec.compiler.writing import write_task
    from tokenrec.recipe.load import load_recipe, task_order

    loaded, window = load_recipe(str(file)), WINDOWS[on]
    session = open_session(loaded, "cold", most_users=users)
    try:
        prepare_baseline(session, stages)
        written = {}
        for name in task_order(loaded.recipe):
            with stages.stage(f"write {name}") as bar:
                written[name] = write_task(session, name, bar.generation)
        usable = {n: w for n, w in written.items() if not all(v.empty for v in w.vectors)}
        reads = count_look(session, "test") if on == "test" else None
        blocks, arms = make_arms(session, written, usable, window)
        arms = {a: names for a, names in arms.items() if "~" not in a and not a.startswith("raw_text+tokens-")}
        scores = trained(session, blocks, arms, window, stages, f"arms on {on}")
        for kind in ("adaptor", "pca"):  # one at a time: blocks of many columns are large
            wanted = {a: arms[a] for a in WITH_TEXT if a in arms}
            texts = dict.fromkeys(b for names in wanted.values() for b in names if b != "behaviour")
            with stages.stage(f"{kind}: columns", len(texts)) as bar:
                more = {}
                for source in texts:
                    if made := short_columns(session, kind, source, blocks[source], columns, window):
                        more[f"{source}@{kind}"] = made
                    bar.step()
            wanted = {
                f"{a}@{kind}": [*names, *(f"{b}@{kind}" for b in names if f"{b}@{kind}" in more)]
                for a, names in wanted.items()
            }
            found = trained(session, blocks | more, wanted, window, stages, f"{kind} on {on}")
            for arm in wanted:
                scores.take(found, arm)
        objective, lists = loaded.recipe.objective, session.lists[window]
        metrics = metrics_of(session)
        return {
            "kind": "cold_benchmark", "schema_version": 1, "recipe": loaded.recipe.name,
            "simulated": loaded.recipe.data.simulated, "window": on, "columns": columns,
            "objective": {"metric": objective.metric, "slice": objective.slice},
            "cold_items": len(np.unique(lists.item_of_row[lists.cold_row])),
            "cold_events": int(lists.label[lists.cold_row].sum()), "lists": len(lists),
            "texts": {
                n: {state: getattr(w.report, state) for state in ("accepted", "rejected", "malformed", "failed")}
                for n, w in written.items()
            },
            "arms": values(scores, metrics), "lifts": lifts(scores, metrics),
            "factors": factor_lifts(session, written, window) if factors else [],
            "adaptors": [learnt(a) for a in session.adapted.values() if a],
            "test_reads": reads, "notes": session.dataset.notes,
        }  # fmt: skip
    finally:
        session.db.conn.close()


def trained(session, blocks: dict, arms: dict, window: int, stages, title: str):
    """ArmScores of the arms on `window`."""
    from tokenrec.dataset.types import FIT
    from tokenrec.evidence.arms import measure_arms

    seeds = list(range(session.recipe.ranker.seeds))
    with stages.stage(title) as bar:
        return measure_arms(
            session.dataset, session.lists[FIT], session.lists[window], blocks, arms, session.settings, seeds,
            lambda arm, done, total: bar.count(done, total, arm),
        )  # fmt: skip


def short_columns(session, kind: str, source: str, made, columns: str, window: int):
    """The block's columns on fit and `window` of its texts made short; None where it has no text."""
    from tokenrec.dataset.types import FIT
    from tokenrec.features.adapted import adapted_columns, fit_pca, pair_texts
    from tokenrec.recipe.models import AdaptorModel

    met = [session.raw]
    texts = pair_texts(made[0].vectors, met)
    if texts is None:
        return None
    if kind == "pca":
        adapted = fit_pca(texts[0], columns=columns)
    else:
        adapted = session.adaptor_of(list(made[0].vectors), met, AdaptorModel(columns=columns))
    if adapted is None:
        return None
    return tuple(
        adapted_columns(adapted, f"{source}@{kind}", *texts, session.dataset, session.lists[w]) for w in (FIT, window)
    )


def comparisons(arms: list[str]) -> list[tuple[str, str]]:
    """Which arm is held against which: text, tokens, gates, and the adaptor against what is plainer."""
    wanted = [
        ("raw_text", "behaviour"), ("raw_text+tokens", "raw_text"), ("raw_text+tokens", "placebo"),
        ("ungated", "raw_text"), ("ungated", "raw_text+tokens"), ("extractive", "raw_text"),
        *((f"{a}@{kind}", a) for kind in ("adaptor", "pca") for a in ("raw_text", "raw_text+tokens")),
        ("raw_text@adaptor", "raw_text@pca"), ("raw_text+tokens@adaptor", "raw_text+tokens@pca"),
        ("raw_text+tokens@adaptor", "raw_text@adaptor"), ("raw_text+tokens@adaptor", "placebo@adaptor"),
        ("raw_text+tokens@adaptor", "raw_text"),
    ]  # fmt: skip
    return [(a, b) for a, b in wanted if a in arms and b in arms]


def values(scores, metrics: list[str]) -> list[dict[str, Any]]:
    """Every arm, slice and metric as compile has them, with two-way intervals."""
    from tokenrec.evidence.statistics import estimate
    from tokenrec.recipe.models import SLICES

    rows = []
    for arm in scores.arms:
        for slice in SLICES:
            for metric in metrics:
                d = estimate(scores.contributions(arm, metric, slice))
                rows.append({"arm": arm, "slice": slice, "metric": metric, "value": d.value, **interval(d), "n": d.n})
    return rows


def lifts(scores, metrics: list[str]) -> list[dict[str, Any]]:
    from tokenrec.evidence.statistics import compare

    rows = []
    for arm, over in comparisons(scores.arms):
        for slice in ("cold_items", "all"):
            for metric in metrics:
                d = compare(scores, arm, over, metric, slice)
                row = {"arm": arm, "over": over, "slice": slice, "metric": metric, "lift": d.value}
                rows.append({**row, **interval(d), "n": d.n})
    return rows


def interval(d) -> dict[str, float | None]:
    from tokenrec.ids import finite

    low, high = d.interval()
    return {"low": finite(low), "high": finite(high)}


def learnt(adapted) -> dict[str, Any]:
    """How the loss on held-out lists went, an adaptor a fold."""
    losses = [a.losses for a in adapted.adaptors]
    return {
        "epochs": [len(x) for x in losses], "first_loss": [x[0] for x in losses], "best_loss": [min(x) for x in losses],
    }  # fmt: skip


def show(doc: dict[str, Any], console) -> None:
    """What fits a page; every slice and metric is in the document."""
    metric, mark = doc["objective"]["metric"], "  SIMULATED users" if doc["simulated"] else ""
    recall = "recall@" + metric.split("@")[1]
    title = (f"{doc['recipe']}: {doc['cold_items']:,} new items, {doc['cold_events']:,} likes of them, "
             f"{doc['window']}, {doc['lists']:,} lists{mark}")  # fmt: skip
    console.print(f"\n[bold]{title}[/bold]", highlight=False, soft_wrap=True)
    for task, n in doc["texts"].items():
        print(f"{task}: {', '.join(f'{count:,} {state}' for state, count in n.items())}")
    wanted = ("cold_items", metric), ("cold_items", recall), ("all", metric)
    console.print(table(doc["arms"], ("arm",), "value", "", wanted))
    console.print(table(doc["lifts"], ("arm", "over"), "lift", "+", wanted[:1]))
    if doc["factors"]:
        from tokenrec.cli.factors import show as show_factors

        show_factors(console, {**doc, "tasks": doc["factors"]})
    if doc["test_reads"] is not None:
        print(f"On the data of this store test was read {doc['test_reads']} time(s).")


def table(rows: list[dict], names: tuple, value: str, sign: str, wanted: tuple):
    from rich.table import Table

    def short(x: float | None) -> str:
        return "?" if x is None or x != x else f"{x:{sign}.4f}".replace("0.", ".", 1)

    made = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    by = {(*(r[n] for n in names), r["slice"], r["metric"]): r for r in rows}
    for name in names:
        made.add_column(name, no_wrap=True)
    for slice, metric in wanted:
        n = max(r["n"] for r in rows if (r["slice"], r["metric"]) == (slice, metric))
        made.add_column(f"{slice.split('_')[0]} n={n:,}\n{metric}", justify="right", no_wrap=True)
        if slice != "all":
            made.add_column("95%", justify="right", no_wrap=True, vertical="bottom")
    for key in dict.fromkeys(k[: len(names)] for k in by):
        cells = []
        for slice, metric in wanted:
            r = by[(*key, slice, metric)]
            cells += [short(r[value]), *([f"{short(r['low'])} to {short(r['high'])}"] if slice != "all" else [])]
        made.add_row(*key, *cells)
    return made


def main() -> int:
    from tokenrec.cli.output import quiet_libraries

    quiet_libraries()
    from rich.console import Console

    from tokenrec.cli.output import emit
    from tokenrec.report.progress import Stages

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, metavar="DATASET")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--store", type=Path, metavar="FOLDER", help="keep the project there and go on from it")
    parser.add_argument("--users", type=int, metavar="N", help="keep N users, chosen by hash: a quick look")
    parser.add_argument("--on", choices=("tune", "test"), default="test", help="tune-A, to choose by, or test")
    parser.add_argument("--columns", choices=COLUMNS, default="pair", help="what @adaptor and @pca give the ranker")
    parser.add_argument("--factors", action="store_true", help="leave each factor out in turn, too")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--writer", metavar="MODEL", help="who writes; the bundled one unless said")
    source.add_argument("--recorded", type=Path, metavar="FILE", help="replay these texts instead")
    o = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        file = project(o.dataset.resolve(), (o.store or Path(scratch)).resolve(), o.writer, o.recorded)
        document = measure(file, Stages(Console(stderr=True)), o.on, o.columns, o.users, o.factors)
    emit(document) if o.json else show(document, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())

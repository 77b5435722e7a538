"""Can the quick scores of a program be believed? Their rank correlation with the retrained truth.

    python evals/benchmarks/reward.py [--only lastfm,queries,text,tags,users] [--artists N] [--split-seed N]
                                      [--data ../shared/data] [--store FOLDER] [--json]

A study takes programs of known worth (worlds_of_texts.py), gives each the scores that compile gives it (*lite*, see
tokenrec/ranking/ranker.py; and the completion score of 100 subjects), and holds the scores to the truth: what the
retrained ranker gains in the objective by the program's columns on test, mean of `--seeds` seeds. Kinds:

    lastfm   item texts: CoLaKG's of the --artists most played artists; no times, a fifth of them loses its history
    queries  users of last.fm by half of their likes; the completion score wants the other half, and the next likes
    text     item texts of the kitchen: names, ingredients, methods, labels in words
    tags     item tags of the kitchen: its labels with a share of them wrong
    users    user tags of the kitchen: the tastes of the dishes that a diner liked, with a share of them wrong

Two ceilings stand beside: *halves*, the correlation of the truth on one half of the test lists with that on the other
(mean of 50 halvings; where it is low the truth is noise, and no score can agree with it), and *retrained*, what a whole
retrain with one seed gets on tune-A in NDCG. `--split-seed` cuts windows, held items and noise anew: lite was chosen on
`--only tags` with seed 7. Intervals are percentiles of a bootstrap over programs; the lists of tune-A and test are a
further source, which they do not cover. The first run encodes texts (some minutes); with --store they are kept.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "evals/benchmarks")]

import worlds_of_texts as worlds  # noqa: E402
from worlds_of_texts import Program  # noqa: E402

KINDS = ("lastfm", "queries", "text", "tags", "users")
ON_LASTFM = ("lastfm", "queries")
SAMPLE = 100  # subjects of the completion score: what a search affords
ARTISTS = 800  # of last.fm, the most played: time goes with their number
SCORES = ("lite", "retrained", "completion", "history")


def measure(session, programs: list[Program], seeds: int, seed: int, say) -> list[Program]:
    """Fill in every program's truth and scores; `seconds` are CPU seconds of *lite* with columns."""
    from tokenrec.compiler.reward import LiteScore
    from tokenrec.compiler.session import make_columns
    from tokenrec.dataset.types import FIT, TEST, TUNE_A
    from tokenrec.evidence.arms import measure_arms

    objective = session.recipe.objective
    lite, base = LiteScore(session), {w: session.behaviour(w) for w in (FIT, TUNE_A, TEST)}

    def value(window: int, n: int, columns: dict | None = None) -> np.ndarray:
        blocks = {"behaviour": (base[FIT], base[window])}
        if columns:
            blocks["program"] = (columns[FIT], columns[window])
        lists, arms = (session.lists[FIT], session.lists[window]), {"arm": list(blocks)}
        made = measure_arms(session.dataset, *lists, blocks, arms, session.settings, list(range(n)))
        return made.per_list("arm", objective.metric, objective.slice)

    behaviour, tuned, by_text = value(TEST, seeds), value(TUNE_A, 1), completion_scorer(session, programs, seed)
    for p in programs:
        by_text(p)
        begun = time.process_time()
        p.lite = lite(p.vectors, p.met)
        p.seconds = time.process_time() - begun
        columns = {w: make_columns("program", p.vectors, session.dataset, session.lists[w], p.met) for w in base}
        p.gains = value(TEST, seeds, columns) - behaviour
        p.truth, p.retrained = float(np.nanmean(p.gains)), float(np.nanmean(value(TUNE_A, 1, columns) - tuned))
        told = "  ".join(f"{name} {getattr(p, name):+.4f}" for name in ("truth", *SCORES[:3]))
        say(f"{p.name:38} {told}  {p.seconds:.2f} s")
    return programs


def completion_scorer(session, programs: list[Program], seed: int):
    """A function that fills in a program's mean completion score over SAMPLE subjects, the same ones for all."""
    from tokenrec.compiler.reward import ItemAUC, UserAUC
    from tokenrec.ids import unit_hash

    def joined(vectors: list) -> np.ndarray:
        return np.concatenate([v.matrix for v in vectors], axis=1).astype(float)

    def drawn(subjects) -> list[int]:
        return sorted(subjects, key=lambda s: unit_hash("completion", s))[:SAMPLE]

    def told(p: Program) -> np.ndarray:
        return ~np.isnan(joined(p.vectors)).any(axis=1)

    if programs[0].vectors[0].subject == "item":
        rewards = {}

        def of_items(p: Program) -> None:
            own, kinds = joined(p.vectors), tuple(v.output for v in p.vectors)
            if kinds not in rewards:  # the first program of a kind stands for the incumbent
                rewards[kinds] = UserAUC(session.dataset, own)
            items = drawn(rewards[kinds].subjects())
            mean, scale = np.nanmean(own[items], axis=0), np.maximum(np.nanstd(own[items], axis=0), 1e-6)
            p.completion = float(np.mean(rewards[kinds].scores(own, mean, scale)[items]))

        return of_items
    items = joined(programs[0].met)
    if programs[0].met[0].output == "taste":
        reward = ItemAUC.of_users(session.dataset, items)
        users = drawn(u for u in reward.find if told(programs[0])[u])

        def of_users(p: Program) -> None:
            own = joined(p.vectors)
            p.completion = float(np.mean([reward.score(u, own[u], np.nanmean(own[users], axis=0)) for u in users]))

        return of_users
    sets = worlds.shown(session.dataset, seed)
    query, later = ItemAUC.of_queries(items, sets), ItemAUC.of_users(session.dataset, items)
    some = drawn(u for u in sets if u in later.find and told(programs[0])[u])

    def of_queries(p: Program) -> None:
        own = joined(p.vectors)
        p.completion = float(np.mean([query.score(u, own[u]) for u in some]))
        p.history = float(np.mean([later.score_history(u, sets[u][0][:1], own[[u]]) for u in some]))

    return of_queries


def correlation(programs: list[Program], score: str, draws: int = 2000) -> tuple[float, float, float]:
    """(Spearman with the truth, low, high): a 95% interval over programs; 0s where the score says nothing."""
    from scipy.stats import spearmanr

    said, truth = (np.array([getattr(p, k) for p in programs]) for k in (score, "truth"))
    if not np.ptp(said):
        return 0.0, 0.0, 0.0
    rng, drawn = np.random.default_rng(0), []
    for _ in range(draws):
        some = rng.integers(0, len(said), len(said))
        if np.ptp(said[some]):
            drawn.append(spearmanr(said[some], truth[some]).statistic)
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return float(spearmanr(said, truth).statistic), float(low), float(high)


def halves(programs: list[Program], draws: int = 50) -> float:
    """Spearman of the truth on one half of the test lists with that on the other, mean over halvings."""
    from scipy.stats import spearmanr

    gains = np.array([p.gains for p in programs])
    gains = gains[:, ~np.isnan(gains[0])]
    rng, found = np.random.default_rng(0), []
    for _ in range(draws):
        one = rng.permutation(gains.shape[1]) % 2 == 0
        found.append(spearmanr(gains[:, one].mean(axis=1), gains[:, ~one].mean(axis=1)).statistic)
    return float(np.mean(found))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(KINDS), help=f"kinds, of {','.join(KINDS)}")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of colakg_lastfm")
    parser.add_argument("--store", type=Path, help="keep encoded texts there")
    parser.add_argument("--seeds", type=int, default=3, help="ranker seeds of the truth (3)")
    parser.add_argument("--artists", type=int, default=ARTISTS, help=f"artists of last.fm ({ARTISTS})")
    parser.add_argument("--split-seed", type=int, default=7, help="of windows, held items and noise (7)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    kinds = options.only.split(",")
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"--only: {', '.join(unknown)} is no kind; choose among {', '.join(KINDS)}")
    if set(kinds) & set(ON_LASTFM) and not (options.data / "colakg_lastfm").is_dir():
        print(f"{options.data}/colakg_lastfm is not here: {', '.join(ON_LASTFM)} are skipped", file=sys.stderr)
        kinds = [k for k in kinds if k not in ON_LASTFM]

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.store or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        found: dict[str, dict] = {}
        for kind in kinds:
            say(f"== {kind}")
            found[kind] = study(kind, options, folder, say)
            say(json.dumps({k: v for k, v in found[kind].items() if k != "rows"}))
    first = found[kinds[0]] if kinds else {}
    top = {k: first.get(k) for k in ("programs", "spearman", "low", "high", "seconds_per_program")}
    print(json.dumps(top | {"by_kind": found}, indent=2) if options.json else table(found))
    return 0


def study(kind: str, options, folder: Path, say) -> dict:
    """One kind's summary."""
    seed = options.split_seed
    if kind in ON_LASTFM:
        session = worlds.lastfm(options.data, folder, options.artists, seed)
        programs = worlds.artist_programs(session) if kind == "lastfm" else worlds.query_programs(session, seed)
    else:
        session, labels = worlds.kitchen(folder, seed)
        made = {"tags": worlds.tag_programs, "users": worlds.user_programs}
        programs = worlds.text_programs(session, labels) if kind == "text" else made[kind](session, labels, seed)
    return summary(measure(session, programs, options.seeds, seed, say))


def table(found: dict[str, dict]) -> str:
    """Markdown."""
    head = "| kind | programs | lite | 95% interval | completion | retrained | halves | CPU s |"
    lines = [head, "|---|" + "---:|" * 7]
    for kind, f in found.items():
        lines.append(
            f"| {kind} | {f['programs']} | {f['spearman']:.2f} | {f['low']:.2f} to {f['high']:.2f} "
            f"| {f['completion']['spearman']:.2f} | {f['retrained']['spearman']:.2f} | {f['halves']:.2f} "
            f"| {f['seconds_per_program']:.1f} |"
        )
    return "\n".join(lines)


def summary(programs: list[Program]) -> dict:
    """The JSON of one kind: `spearman`, `low`, `high` are *lite*'s; of the other scores likewise, by name."""
    made = {s: dict(zip(("spearman", "low", "high"), correlation(programs, s), strict=True)) for s in SCORES}
    if not any(p.history for p in programs):
        del made["history"]
    return {
        "programs": len(programs), **made.pop("lite"),
        "seconds_per_program": float(np.mean([p.seconds for p in programs])), "halves": halves(programs), **made,
        "rows": [{"program": p.name, "truth": p.truth} | {s: getattr(p, s) for s in ("lite", *made)} for p in programs],
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

"""Does promotion keep its word? Worlds in which it is known how good every prompt is, through compile's own sieves.

    python evals/benchmarks/planted.py [--worlds N] [--full] [--data ../shared/data] [--jobs 2] [--json]

A scripted LM stands in for the model: a function of (instruction, item) whose instruction decides how much of the
truth its text carries. Underneath are real interactions of last.fm or, without the data (or with --kitchen), SIMULATED
diners: see planted_worlds.py.

Every world is a compile: ten challengers are scored by *lite* on tune-A, the best one that beats the incumbent goes to
the test on tune-B with p times ten. In null worlds all prompts are equally good: whatever is promoted is false. After
the first compile two more of one challenger each follow on the same tune-B, as far as alpha allows: the contract
promises .05 for all looks together. On the ladder one challenger of ten is better by a stated share of the objective
(`--calibrate` measures the shares) and nine are as good as the incumbent. Beside the share that is promoted stands what
the smallest detectable lift promises, with users alone (`power.smallest_lift`) and with items as a sample too
(`smallest_lift_two_way`): (z₁₋α + z.₈₀) · se turned round, from raw_text - behaviour on tune-A of other worlds.

`--adversaries` sends prompts that play the gate through a real compile (adversaries.py). Exit 1 where more null worlds
than the level's upper 97.5% binomial limit promote something, or an adversary wins.
"""

import argparse
import json
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from scipy.stats import binom, norm

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import planted_worlds as worlds  # noqa: E402
from adversaries import adversaries  # noqa: E402
from planted_worlds import instruction  # noqa: E402

CHALLENGERS, LATER = 10, 2  # challengers of the first compile, and later compiles of one challenger each
LEVEL = 0.05  # what all looks at one tune-B may spend
INCUMBENT = 0.4  # its share of truth
LADDER = {"lastfm": {0.01: 0.68, 0.03: 0.80, 0.10: 0.98}, "kitchen": {0.10: 0.76}}


@dataclass
class Outcome:
    """What one world's compiles did: one entry a test on tune-B; challengers by number, 0 is the planted one."""

    promoted: list[int] = field(default_factory=list)
    tested: list[int] = field(default_factory=list)
    p: list[float] = field(default_factory=list)  # one-sided, times the challengers of its compile
    delta: list[float] = field(default_factory=list)


def one_world(source: str, data: Path, seed: int, share: float | None, later: int) -> Outcome:
    """Compile in world `seed`: ten challengers, then `later` compiles of one each on the same tune-B.

    `share` is what challenger 0 knows of the truth, None in a null world.
    """
    from tokenrec.compiler.promotion import decide_promotion
    from tokenrec.compiler.reward import LiteScore

    world = worlds.SOURCES[source](seed, data)
    write = world.lm.write
    incumbent = write(instruction(INCUMBENT, 0))
    lite = LiteScore(world.session)
    to_beat, made = lite(incumbent), Outcome()
    compiles = [range(CHALLENGERS), *([CHALLENGERS + k] for k in range(later))]
    for drafts in compiles:
        shares = [share if share is not None and k == 0 else INCUMBENT for k in drafts]
        programs = [write(instruction(s, 1 + k)) for s, k in zip(shares, drafts, strict=True)]
        scores = [lite(vectors) for vectors in programs]
        best = int(np.argmax(scores))
        if scores[best] <= to_beat:
            continue  # no look at tune-B is spent
        test = decide_promotion(
            world.session, "planted", "item", ("incumbent", incumbent), (f"draft {drafts[best]}", programs[best]), {},
            len(drafts),
        )  # fmt: skip
        made.tested.append(drafts[best])
        made.p.append(test.p)
        made.delta.append(test.delta)
        if test.promoted:
            made.promoted.append(drafts[best])
            break
    return made


def objective(source: str, data: Path, seed: int, shares: list[float]) -> list[float]:
    """The objective in world `seed` of the ranker retrained (3 seeds) with a text of each share, over tune lists."""
    from tokenrec.compiler.session import make_columns
    from tokenrec.dataset.types import FIT, TUNE_A, TUNE_B
    from tokenrec.ranking.metrics import per_list, relevant_ranks
    from tokenrec.ranking.ranker import average, score, train

    world = worlds.SOURCES[source](seed, data)
    session, lists, found = world.session, world.session.lists, []

    def columns(vectors, window: int) -> list:
        raw = session.columns("raw_text", window, [session.raw])
        return [session.behaviour(window), raw, make_columns("text", vectors, session.dataset, lists[window])]

    for share in shares:
        vectors, values = world.lm.write(instruction(share, 0)), []
        fit = columns(vectors, FIT)
        boosters = [train(fit, lists[FIT], session.settings, seed) for seed in range(3)]
        for window in (TUNE_A, TUNE_B):
            tune = columns(vectors, window)
            ranks = relevant_ranks(average([score(b, tune) for b in boosters], lists[window]), lists[window])
            values.append(per_list(ranks, lists[window], session.recipe.objective.metric))
        found.append(float(np.mean(np.concatenate(values))))
    return found


@dataclass
class Power:
    """What a world's tune-A says of its promotion test: the contract's formula, before a challenger is written."""

    objective: float  # raw_text's
    user: float  # standard error of a difference on tune-B, users alone
    two_way: float  # and items
    lists: tuple[int, int, int]  # fit, tune-A, tune-B


def predicted(source: str, data: Path, seed: int) -> Power:
    """The prediction in world `seed`, as compile makes it: raw_text - behaviour on tune-A, by the size of tune-B."""
    from tokenrec.dataset.types import FIT, TUNE_A, TUNE_B
    from tokenrec.evidence.arms import measure_arms
    from tokenrec.evidence.statistics import compare

    session = worlds.SOURCES[source](seed, data).session
    blocks, metric = session.base(TUNE_A), session.recipe.objective.metric
    arms = {"behaviour": ["behaviour"], "raw_text": list(blocks)}
    lists = [session.lists[w] for w in (FIT, TUNE_A, TUNE_B)]
    scores = measure_arms(session.dataset, lists[0], lists[1], blocks, arms, session.settings, [0, 1, 2])
    by = {by: compare(scores, "raw_text", "behaviour", metric, by=by).se for by in ("user", "user_item")}
    scale = np.sqrt(len(lists[1]) / len(lists[2]))
    n = tuple(len(x) for x in lists)
    return Power(scores.mean("raw_text", metric), by["user"] * scale, by["user_item"] * scale, n)


def run_worlds(
    source: str, data: Path, seeds: range, share: float | None, later: int, jobs: int, say, keep: Path | None = None
) -> list[Outcome]:
    """Outcomes of the worlds, in the order of seeds; `jobs` processes. `keep`: a JSONL file of those that are done,
    added to and not run again (throw it away with any change of what is measured)."""
    known = {}
    if keep and keep.is_file():
        for line in keep.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            world = tuple(row.pop("world"))
            known[world] = Outcome(**row)
    work = [(source, data, seed, share, later) for seed in seeds]
    left = [w for w in work if _key(w) not in known]
    with ProcessPoolExecutor(jobs) if jobs > 1 else nullcontext() as pool:
        outcomes = pool.map(one_world, *zip(*left, strict=True)) if pool and left else (one_world(*w) for w in left)
        for w, made in zip(left, outcomes, strict=True):
            known[_key(w)] = made
            p = ", ".join(f"{p:.3f}" for p in made.p) or "-"
            say(f"world {w[2]}: p {p}; promoted {made.promoted or 'none'}")
            if keep:
                with keep.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"world": _key(w), **asdict(made)}) + "\n")
    return [known[_key(w)] for w in work]


def _key(work: tuple) -> tuple:
    source, _, seed, share, later = work
    return source, seed, share, later, CHALLENGERS


def study(
    source: str, data: Path, null: int, rung: int, jobs: int, say=lambda line: None, keep: Path | None = None
) -> dict:
    """The JSON document: null worlds, the ladder, and what the smallest detectable lift promised of it."""
    from tokenrec.evidence.power import promotion_alpha

    nulls = run_worlds(source, data, range(1000, 1000 + null), None, LATER, jobs, say, keep)
    drawn = [predicted(source, data, seed) for seed in range(500, 500 + min(16, max(null, 2)))]
    value, alpha = float(np.mean([p.objective for p in drawn])), promotion_alpha(1)
    se = {kind: float(np.sqrt(np.mean([getattr(p, kind) ** 2 for p in drawn]))) for kind in ("user", "two_way")}

    def power(effect: float, kind: str) -> float:
        return float(norm.cdf(effect * value / se[kind] - norm.ppf(1 - alpha / CHALLENGERS)))

    def smallest(kind: str, challengers: int) -> float:
        return float((norm.ppf(1 - alpha / challengers) + norm.ppf(0.8)) * se[kind])

    later = np.array([p for o in nulls for number, p in zip(o.tested, o.p) if number >= CHALLENGERS])
    ladder = []
    for effect, share in {0.0: None, **LADDER[source]}.items():
        seeds = range(10_000 + int(effect * 1e5), 10_000 + int(effect * 1e5) + rung)
        made = run_worlds(source, data, seeds, share, 0, jobs, say, keep) if effect else nulls
        firsts = [o for o in made if o.tested and o.tested[0] < CHALLENGERS]
        lifts = [o.delta[0] / value for o in firsts if o.tested[0] == 0]
        ladder.append({
            "relative_effect": effect, "worlds": len(made),
            "promoted_right": sum(o.promoted == [0] for o in made) if effect else 0,
            "promoted": sum(o.promoted[:1] == o.tested[:1] for o in firsts),
            "best_on_tune_a": len(lifts) if effect else None,
            "lift_on_tune_b": float(np.mean(lifts)) if effect and lifts else None,
            "predicted_power": power(effect, "two_way"), "predicted_power_users_only": power(effect, "user"),
        })  # fmt: skip
    return {
        "source": source, "level": LEVEL, "null_worlds": null, "null_comparisons": null * (CHALLENGERS + LATER),
        "null_tests_on_tune_b": sum(len(o.p) for o in nulls),
        "false_promotions": sum(bool(o.promoted) for o in nulls),
        "allowed": int(binom.ppf(0.975, null, LEVEL)) if null else 0,
        "first_look": {
            "level": alpha, "false_promotions": ladder[0]["promoted"], "allowed": int(binom.ppf(0.975, null, alpha)),
        },
        "later_p_below": {f"{x}": float(np.mean(later < x)) if len(later) else None for x in (0.05, 0.25, 0.5)},
        "objective": value, "items": worlds.ARTISTS if source == "lastfm" else None,
        "lists": dict(zip(("fit", "tune_a", "tune_b"), np.mean([p.lists for p in drawn], axis=0).round().tolist())),
        "smallest_lift": smallest("two_way", 1), "smallest_lift_of_ten": smallest("two_way", CHALLENGERS),
        "smallest_lift_users_only": smallest("user", 1),
        "smallest_lift_users_only_of_ten": smallest("user", CHALLENGERS),
        "ladder": ladder,
    }  # fmt: skip


def table(found: dict) -> str:
    """Markdown."""
    lines = [
        "| relative effect | worlds | best on tune-A | promoted, and right | predicted | predicted, users only |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for r in found["ladder"][1:]:
        share, chosen = r["promoted_right"] / r["worlds"], r["best_on_tune_a"] / r["worlds"]
        low, high = binom_interval(r["promoted_right"], r["worlds"])
        lines.append(
            f"| +{r['relative_effect']:.0%} | {r['worlds']} | {chosen:.0%} | {share:.0%} ({low:.0%} to {high:.0%}) | "
            f"{r['predicted_power']:.0%} | {r['predicted_power_users_only']:.0%} |"
        )
    lists, first, value = found["lists"], found["first_look"], found["objective"]
    items = f", {found['items']} items" if found["items"] else ""
    lines += [
        "", f"Size: {lists['fit']:.0f} lists to fit on, {lists['tune_a']:.0f} in tune-A, {lists['tune_b']:.0f} in "
        f"tune-B{items}; the objective is {value:.4f}. The smallest "
        f"lift that a test can see with 80% power, of it: {found['smallest_lift'] / value:.1%} with one challenger, "
        f"{found['smallest_lift_of_ten'] / value:.1%} with ten ({found['smallest_lift_users_only'] / value:.1%} and "
        f"{found['smallest_lift_users_only_of_ten'] / value:.1%} if items were no sample).",
        "", f"Null: {found['false_promotions']} of {found['null_worlds']} worlds promoted something at any look (level "
        f"{found['level']}: at most {found['allowed']} by chance), {first['false_promotions']} at the first "
        f"(level {first['level']}: {first['allowed']}); {found['null_comparisons']:,} challengers, "
        f"{found['null_tests_on_tune_b']:,} tests on tune-B.",
    ]  # fmt: skip
    if found.get("adversaries"):
        won = [a["prompt"] for a in found["adversaries"] if a["promoted"]]
        played = ", ".join(a["prompt"] for a in found["adversaries"])
        lines += ["", f"Prompts that play the gate, and an honest one ({played}): promoted {', '.join(won) or 'none'}."]
    return "\n".join(lines)


def binom_interval(hits: int, n: int) -> tuple[float, float]:
    """95%, Wilson."""
    from scipy.stats import binomtest

    return tuple(binomtest(hits, n).proportion_ci(method="wilson"))


def calibrate(source: str, data: Path, count: int, shares: list[float], say) -> None:
    """What each share of truth is worth beside the incumbent's (mean, 95%), on worlds of their own."""
    values = np.array([objective(source, data, seed, [INCUMBENT, *shares]) for seed in range(9000, 9000 + count)])
    base = values[:, 0].mean()
    for share, column in zip(shares, values[:, 1:].T, strict=True):
        error = (column - values[:, 0]).std(ddof=1) / np.sqrt(count) / base
        say(f"share {share:.2f}: {column.mean() / base - 1:+.1%} ± {1.96 * error:.1%}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=20, metavar="N", help="null worlds (20); a quarter a rung")
    parser.add_argument("--full", action="store_true", help="200 null worlds, 50 a rung")
    parser.add_argument("--kitchen", action="store_true", help="SIMULATED diners instead of last.fm")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of colakg_lastfm")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="worlds that are done: go on from there")
    parser.add_argument("--calibrate", action="store_true", help="measure what shares of truth are worth")
    parser.add_argument("--adversaries", action="store_true", help="only the prompts that play the gate")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    source = "kitchen" if options.kitchen else "lastfm"
    if source == "lastfm" and not (options.data / "colakg_lastfm").is_dir() and not options.adversaries:
        say(f"{options.data}/colakg_lastfm is not here: SIMULATED diners instead")
        source = "kitchen"
    if options.calibrate:
        calibrate(source, options.data, options.worlds, [0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0], print)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        played = adversaries(Path(folder))
    won = any(a["promoted"] for a in played if not a["honest"])
    if options.adversaries:
        print(json.dumps(played, indent=2))
        return int(won)
    null = 200 if options.full else options.worlds
    found = study(source, options.data, null, max(null // 4, 1), options.jobs, say, options.keep)
    found["adversaries"] = played
    print(json.dumps(found, indent=2) if options.json else table(found))
    return int(won or found["false_promotions"] > found["allowed"])


if __name__ == "__main__":
    sys.exit(main())

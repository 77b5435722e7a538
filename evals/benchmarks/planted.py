"""Does promotion keep its word? Worlds in which it is known how good every prompt is, through compile's own sieves.

    python evals/benchmarks/planted.py [--worlds N] [--null N] [--full] [--data ../shared/data] [--jobs 2] [--json]

A scripted LM stands in for the model: a function of (instruction, item) whose instruction decides how much of the
truth its text carries; the rest is noise of its own. Underneath are real interactions: a world is a random half of
last.fm's people with the 200 most played artists, a fifth of which (drawn anew) has no history; the truth about an
artist is its place in a factor model of the *other* half's plays, which no ranker of that world sees. Without the data
(or with --kitchen): SIMULATED diners, drawn anew for each world, and the truth is a dish's labels.

Every world is a compile: ten challengers are scored by *lite* on tune-A, the best one that beats the incumbent goes to
the test on tune-B with p times ten. In null worlds all prompts are equally good: whatever is promoted is false. After
the first compile two more of one challenger each follow on the same tune-B, as far as alpha allows: the contract
promises .05 for all looks together. On the ladder one challenger of ten is better by a stated share of the objective
(`--calibrate` measures the shares) and nine are as good as the incumbent.

`--adversaries` sends prompts that play the gate through a real compile of a small recipe: one that copies the title,
one that says nothing, one that refuses the hard dishes, one that knows the future.
"""

import argparse
import gzip
import json
import re
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from scipy.stats import binom, norm

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

ARTISTS, USERS, FACTORS = 200, 1200, 8  # of last.fm; of the kitchen; of the truth
NEW = 0.2  # of last.fm's artists lose their history: only a text can tell what they are like
CHALLENGERS, LATER = 10, 2  # challengers of the first compile, and later compiles of one challenger each
LEVEL = 0.05  # what all looks at one tune-B may spend
INCUMBENT = 0.5  # its share of truth
# the shares that are worth 1, 3 and 10% more of the objective than INCUMBENT; `--calibrate --worlds 16` measured on
# last.fm +0.9 ± .6% at .70, +2.3 ± .7% at .80, +3.6 ± 1.2% at .85, +10.0 ± 1.3% at 1 (95%)
LADDER = {"lastfm": {0.01: 0.71, 0.03: 0.83, 0.10: 1.0}, "kitchen": {0.10: 0.76}}


class ScriptedLM:
    """Answers with a text's encoding: `share` of the truth about an item and, for the rest, its own noise."""

    def __init__(self, truth: np.ndarray, world: int):
        self.truth, self.world = truth, world

    def write(self, instruction: str):
        """Vectors of all items. The instruction says how much of the taste to heed; its every word draws new noise."""
        from tokenrec.features.types import Vectors
        from tokenrec.ids import unit_hash

        share = float(re.search(r"heed ([\d.]+)%", instruction)[1]) / 100
        rng = np.random.default_rng(int(unit_hash("planted", self.world, instruction) * 2**53))
        noise = rng.normal(size=self.truth.shape)
        noise /= np.linalg.norm(noise, axis=1, keepdims=True)
        matrix = (share * self.truth + np.sqrt(1 - share**2) * noise).astype(np.float32)
        columns = [f"e{i}" for i in range(matrix.shape[1])]
        return [Vectors("planted", "text", "item", matrix, columns, False, "planted")]


def instruction(share: float, draft: int) -> str:
    return f"Say what it is like, heed {100 * share:.2f}% of it. Draft {draft}."


@dataclass
class World:
    """One draw of people: a session as compile has it before the search, and the model that writes."""

    session: object
    lm: ScriptedLM


def lastfm(seed: int, data: Path) -> World:
    """Half of last.fm's people; the truth about an artist is what the other half makes of it."""
    from tokenrec.dataset.types import HISTORY, TUNE_A, TUNE_B, Events
    from tokenrec.features.profiles import factors, liked_matrix

    loaded, dataset = _lastfm(data)
    rng, e, n = np.random.default_rng([11, seed]), dataset.events, len(dataset.user_ids)
    mine, half = rng.permutation(n) % 2 == 0, rng.random(n) < 0.5
    held = rng.random(len(dataset.item_ids)) < NEW
    _, right = factors(liked_matrix(dataset, ~mine[e.user]), FACTORS)
    keep = mine[e.user] & ~(held[e.item] & (e.window == HISTORY))
    tune = np.isin(e.window, (TUNE_A, TUNE_B))
    window = np.where(tune, np.where(half[e.user], TUNE_A, TUNE_B), e.window).astype(np.int8)
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
    from tokenrec.lm.meter import Meter
    from tokenrec.ranking.ranker import Settings
    from tokenrec.store.store import open_store

    truth = np.nan_to_num(truth - np.nanmean(truth, axis=0))
    lm = ScriptedLM(truth / np.maximum(np.linalg.norm(truth, axis=1, keepdims=True), 1e-9), seed)
    session = Session(loaded, dataset, open_store(":memory:"), f"planted{seed}", SimpleNamespace(), Meter())
    session.raw = lm.write(instruction(0.2, -1))[0]  # the dish's own text, which knows a little too
    session.settings = Settings(rounds=40, negatives=40)
    session.make_lists()
    return World(session, lm)


SOURCES = {"lastfm": lastfm, "kitchen": kitchen}


@dataclass
class Outcome:
    """What one world's compiles did. `p` are the one-sided p-values of the tests on tune-B, each times the challengers
    of its compile; `promoted` the numbers of the promoted challengers (0 is the planted one)."""

    promoted: list[int]
    p: list[float]


def one_world(source: str, data: Path, seed: int, share: float | None, later: int) -> Outcome:
    """Compile in world `seed`: ten challengers, then `later` compiles of one each on the same tune-B.

    `share` is what challenger 0 knows of the truth, None in a null world.
    """
    from tokenrec.compiler.promotion import decide_promotion
    from tokenrec.compiler.reward import LiteScore

    world = SOURCES[source](seed, data)
    write = world.lm.write
    incumbent = write(instruction(INCUMBENT, 0))
    lite = LiteScore(world.session)
    to_beat, made = lite(incumbent), Outcome([], [])
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
        made.p.append(test.p)
        if test.promoted:
            made.promoted.append(drafts[best])
            break
    return made


def objective(source: str, data: Path, seed: int, shares: list[float]) -> list[float]:
    """The objective in world `seed` of the ranker retrained with a text of each share, over tune and test lists."""
    from tokenrec.compiler.session import make_columns
    from tokenrec.dataset.types import FIT, TEST, TUNE_A, TUNE_B
    from tokenrec.ranking.metrics import per_list, relevant_ranks
    from tokenrec.ranking.ranker import score, train

    world = SOURCES[source](seed, data)
    session, found = world.session, []

    def columns(vectors, window) -> list:
        raw = session.columns("raw_text", window, [session.raw])
        return [session.behaviour(window), raw, make_columns("text", vectors, session.dataset, session.lists[window])]

    for share in shares:
        vectors = world.lm.write(instruction(share, 0))
        booster, values = train(columns(vectors, FIT), session.lists[FIT], session.settings, 0), []
        for window in (TUNE_A, TUNE_B, TEST):
            ranks = relevant_ranks(score(booster, columns(vectors, window)), session.lists[window])
            values.append(per_list(ranks, session.lists[window], session.recipe.objective.metric))
        found.append(float(np.mean(np.concatenate(values))))
    return found


def predicted(source: str, data: Path, seed: int) -> tuple[float, float, int]:
    """(raw_text's objective, sd of the paired difference raw_text - behaviour on tune-A, tune-B lists) of a world."""
    from tokenrec.dataset.types import FIT, TUNE_A, TUNE_B
    from tokenrec.evidence.arms import measure_arms

    session = SOURCES[source](seed, data).session
    windows = (FIT, TUNE_A)
    blocks = {"behaviour": tuple(session.behaviour(w) for w in windows),
              "raw_text": tuple(session.columns("raw_text", w, [session.raw]) for w in windows)}  # fmt: skip
    arms, metric = {"behaviour": ["behaviour"], "raw_text": list(blocks)}, session.recipe.objective.metric
    fit, tune = (session.lists[w] for w in windows)
    scores = measure_arms(session.dataset, fit, tune, blocks, arms, session.settings, [0, 1, 2])
    gap = scores.per_list("raw_text", metric) - scores.per_list("behaviour", metric)
    return scores.mean("raw_text", metric), float(gap.std(ddof=1)), len(session.lists[TUNE_B])


GAME = """\
name: game
data:
  items: {path: dishes.jsonl, id: dish_id, name: name, text: [name], facts: [cuisine]}
  events: {path: events.csv, user: user_id, item: dish_id, time: at, value: rating, positive: ">= 4"}
  simulated: true
lm: {writer: scripted}
tasks:
  about:
    for: item
    inputs: [name]
    write: Guess.
    outputs: {line: {type: text, max_words: 25, grounding: open}}
  diner:
    for: user
    history: {most: 5, min: 1, show: [name]}
    write: Guess.
    outputs: {line: {type: text, max_words: 25, grounding: open}}
compile: {tasks: [about], candidates: 3, budget: {calls: 1000}}
"""

PROMPTS = {
    "copies the title": "Copy the title.",
    "tells nothing": "Praise it so that nothing is wrong.",
    "refuses hard cases": "Guess, and refuse the hard ones.",
    "knows": "Tell what it tastes like.",  # an honest control: while it loses too, the others' losing proves little
}
WORDS = ["amber", "birch", "cedar", "delta", "ember", "frost", "grove", "heath", "ivory", "jade", "kelp", "lunar"]


class Player:
    """An engine for DSPy: what it answers follows from the instruction and the dish's name alone."""

    supports_response_schema, supported_params = True, ("response_format", "temperature", "max_tokens", "seed")

    def __init__(self, taste: dict[str, str]):
        self.taste, self.all = taste, sorted(set(taste.values()))

    def line(self, instruction: str, name: str) -> str:
        from tokenrec.ids import unit_hash

        def guess(luck: float) -> str:
            lucky = unit_hash("luck", name) < luck
            return self.taste.get(name, "") if lucky else self.all[int(unit_hash("guess", name) * len(self.all))]

        own = " ".join(WORDS[int(unit_hash(k, name) * len(WORDS))] for k in "ab")
        if "Copy" in instruction:
            return name
        if "Praise" in instruction:
            return "A dish that everybody enjoys at the table."
        if "refuse" in instruction and unit_hash("hard", name) < 0.4:
            return "I am sorry, I cannot help with that."
        if "Tell" in instruction:
            return f"Tastes {self.taste.get(name, '')}, {own}"
        return f"Tastes {guess(0.3)}, {own}"

    def complete(self, request):
        from dspy.lm15 import Message, Response, TextPart, Usage

        from tokenrec.lm.meter import note_end

        text = "".join(m.text or "" for m in request.messages)
        note_end("stop")
        names = re.findall(r"(?:Name|Liked): (.+)", text)
        answer = json.dumps({"line": self.line(text, names[-1].strip() if names else "")})
        return Response(
            id=None, model="scripted", message=Message.assistant([TextPart(answer)]), finish_reason="stop",
            usage=Usage(input_tokens=10, output_tokens=5, total_tokens=15),
        )  # fmt: skip

    def close(self) -> None:
        pass


class AsyncPlayer:
    """The same from asyncio."""

    def __init__(self, player: Player):
        self.player = player
        self.supports_response_schema, self.supported_params = True, player.supported_params

    async def complete(self, request):
        return self.player.complete(request)

    async def aclose(self) -> None:
        pass


class WordEncoder:
    """Texts as bags of words: no weights to load."""

    encoder_id = "words"

    def encode(self, db, texts: list[str], progress=lambda done, total: None) -> np.ndarray:
        from sklearn.feature_extraction.text import HashingVectorizer

        words = HashingVectorizer(n_features=256, alternate_sign=False)
        return words.transform(texts).toarray().astype(np.float32) if texts else np.empty((0, 256), np.float32)


def game(folder: Path, dishes: int = 150, users: int = 900, each: int = 8):
    """(session, tasks as written by the incumbents): real dishes, and diners who choose by taste."""
    import dspy

    from tokenrec.compiler.session import open_session
    from tokenrec.compiler.writing import write_task
    from tokenrec.lm.plain import make_adapter
    from tokenrec.lm.writer import Writer
    from tokenrec.recipe.load import load_recipe

    source = ROOT / "recipes/kitchen"
    records = [json.loads(line) for line in (source / "dishes.jsonl").read_text(encoding="utf-8").splitlines()][:dishes]
    taste = {r["dish_id"]: r["taste"][0] for r in map(json.loads, (source / "labels.jsonl").read_text().splitlines())}
    rng, rows = np.random.default_rng(3), ["user_id,dish_id,at,rating"]
    of = {t: [r["dish_id"] for r in records if taste[r["dish_id"]] == t] for t in set(taste.values())}
    kinds = sorted(t for t in of if len(of[t]) >= 5)
    own = rng.integers(0, len(kinds), users)
    for at, user in sorted((float(rng.random() * 300), u) for u in range(users) for _ in range(each)):
        kind = kinds[own[user]]
        among = of[kind] if rng.random() < 0.8 else [r["dish_id"] for r in records]
        rows.append(f"u{user:03},{among[rng.integers(len(among))]},{at:.3f},5")
    folder.joinpath("events.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    lines = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records)
    folder.joinpath("dishes.jsonl").write_text(lines, encoding="utf-8")
    models = "models: {scripted: {kind: replay, path: none.jsonl}}\n"
    folder.joinpath("tokenrec.yaml").write_text("store: store.db\n" + models)
    folder.joinpath("none.jsonl").write_text("")
    folder.joinpath("game.yaml").write_text(GAME)
    session = open_session(load_recipe(folder / "game.yaml"), "game")
    session.encoder = WordEncoder()
    player = Player({r["name"]: taste[r["dish_id"]] for r in records})
    lm = dspy.LM("scripted/player", engine=player, async_engine=AsyncPlayer(player), cache=False)
    session.writer = Writer("scripted", "scripted/player", lm, make_adapter(), free=True, meter=session.meter)
    session.raw = ScriptedLM(np.ones((len(records), 4)), 0).write(instruction(0.0, 0))[0]
    session.make_lists()
    return session, {name: write_task(session, name, lambda report: None) for name in ("about", "diner")}


def adversaries(folder: Path) -> list[dict]:
    """What compiles one after the other do with PROMPTS, each the one challenger, and with texts of later events."""
    from unittest import mock

    from tokenrec.compiler import improve
    from tokenrec.compiler.search import Proposal, Search
    from tokenrec.report.progress import Stages

    session, tasks = game(folder)
    played = [{"prompt": "leaks the future", **_leak(session, tasks)}]
    for name, words in PROMPTS.items():
        program = tasks["about"].program.deepcopy()
        for _, predictor in program.named_predictors():
            predictor.signature = predictor.signature.with_instructions(words)
        found = Search([Proposal(program, 1.0)], 0.5, 100, "")  # as if it had dazzled the first sieve
        with mock.patch.object(improve, "search", lambda *_, found=found: found):
            session.db.execute("delete from searches")
            made = improve.improve(session, tasks, "about", Stages(None), force=True)
        promoted = bool(made.promotion and made.promotion.promoted)
        played.append({"prompt": name, "promoted": promoted, "note": made.note})
    session.db.conn.close()
    return played


def _leak(session, tasks: dict) -> dict:
    """Texts about users, made from what they ate in the tune window, through generation to promotion."""
    from tokenrec.compiler.promotion import decide_promotion
    from tokenrec.compiler.writing import generate_with, program_vectors
    from tokenrec.dataset.types import HISTORY, TEST
    from tokenrec.errors import InputError
    from tokenrec.tasks.inputs import prompts

    task, e = tasks["diner"], session.dataset.events
    all_known = replace(e, window=np.where(e.window < TEST, HISTORY, TEST).astype(np.int8))
    late = list(prompts(session.recipe, replace(session.dataset, events=all_known), task.spec, {}))
    program = task.program.deepcopy()
    for _, predictor in program.named_predictors():
        predictor.signature = predictor.signature.with_instructions("Tell what comes next.")
    report = generate_with(session, task.spec, program, task.judge, late, lambda report: None, current=False)
    vectors = program_vectors(session, task.spec, program, report)
    try:
        made = decide_promotion(
            session, "diner", "user", (task.program_id, task.vectors), (report.program_id, vectors), {}, 1
        )
    except InputError as refused:
        return {"promoted": False, "note": str(refused)}
    return {"promoted": made.promoted, "note": "not refused"}


def run_worlds(source: str, data: Path, seeds: range, share: float | None, later: int, jobs: int, say) -> list[Outcome]:
    """Outcomes of the worlds, in the order of seeds; `jobs` processes."""
    work = [(source, data, seed, share, later) for seed in seeds]
    if jobs == 1:
        results = (one_world(*w) for w in work)
        return [_said(r, w, say) for r, w in zip(results, work, strict=True)]
    with ProcessPoolExecutor(jobs) as pool:
        return [_said(r, w, say) for r, w in zip(pool.map(one_world, *zip(*work, strict=True)), work, strict=True)]


def _said(outcome: Outcome, work: tuple, say) -> Outcome:
    say(f"world {work[2]}: p {', '.join(f'{p:.3f}' for p in outcome.p) or '-'}; promoted {outcome.promoted or 'none'}")
    return outcome


def study(source: str, data: Path, null: int, rung: int, jobs: int, say=lambda line: None) -> dict:
    """The JSON document: null worlds, the ladder, and what the smallest detectable lift promised of it."""
    from tokenrec.evidence.power import promotion_alpha

    nulls = run_worlds(source, data, range(1000, 1000 + null), None, LATER, jobs, say)
    false = sum(bool(o.promoted) for o in nulls)
    first = sum(o.promoted[:1] != [] and o.promoted[0] < CHALLENGERS for o in nulls)
    drawn = [predicted(source, data, seed) for seed in range(500, 500 + min(8, max(null, 2)))]
    value, sd, lists = (float(np.mean(x)) for x in zip(*drawn, strict=True))
    alpha, spread = promotion_alpha(1), sd / np.sqrt(lists)
    ladder = [{
        "relative_effect": 0.0, "worlds": null, "promoted_right": 0, "promoted": first,
        "predicted_power": alpha,
    }]  # fmt: skip
    for effect, share in LADDER[source].items():
        seeds = range(10_000 + int(effect * 1e5), 10_000 + int(effect * 1e5) + rung)
        made = run_worlds(source, data, seeds, share, 0, jobs, say)
        ladder.append({
            "relative_effect": effect, "worlds": rung,
            "promoted_right": sum(o.promoted == [0] for o in made), "promoted": sum(bool(o.promoted) for o in made),
            "predicted_power": float(norm.cdf(effect * value / spread - norm.ppf(1 - alpha / CHALLENGERS))),
        })  # fmt: skip
    return {
        "source": source, "level": LEVEL, "null_worlds": null, "null_comparisons": null * (CHALLENGERS + LATER),
        "null_tests_on_tune_b": sum(len(o.p) for o in nulls), "false_promotions": false,
        "allowed": int(binom.ppf(0.975, null, LEVEL)) if null else 0,
        "first_look": {"level": alpha, "false_promotions": first, "allowed": int(binom.ppf(0.975, null, alpha))},
        "objective": value, "tune_b_lists": lists,
        "smallest_lift": float((norm.ppf(1 - alpha) + norm.ppf(0.8)) * spread),
        "smallest_lift_of_ten": float((norm.ppf(1 - alpha / CHALLENGERS) + norm.ppf(0.8)) * spread),
        "ladder": ladder,
    }  # fmt: skip


def table(found: dict) -> str:
    """Markdown."""
    lines = ["| relative effect | worlds | right promoted | predicted power |", "|---:|---:|---:|---:|"]
    for r in found["ladder"]:
        right = f"{r['promoted_right'] / r['worlds']:.0%}" if r["worlds"] and r["relative_effect"] else "-"
        lines.append(f"| {r['relative_effect']:.0%} | {r['worlds']} | {right} | {r['predicted_power']:.0%} |")
    lines += [
        "", f"Null worlds: {found['false_promotions']} of {found['null_worlds']} promoted something at any look (level "
        f"{found['level']}: at most {found['allowed']} by chance), {found['first_look']['false_promotions']} at the "
        f"first ({found['first_look']['level']}: {found['first_look']['allowed']}); {found['null_comparisons']:,} "
        f"challengers, {found['null_tests_on_tune_b']:,} tests on tune-B.",
        f"Objective {found['objective']:.4f}, {found['tune_b_lists']:.0f} lists; the smallest lift that could be seen: "
        f"{found['smallest_lift']:.4f} with one challenger, {found['smallest_lift_of_ten']:.4f} with ten.",
    ]  # fmt: skip
    return "\n".join(lines)


def calibrate(source: str, data: Path, worlds: int, shares: list[float], say) -> None:
    """What each share of truth is worth beside the incumbent's, on worlds of their own."""
    values = []
    for seed in range(9000, 9000 + worlds):
        values.append(objective(source, data, seed, [INCUMBENT, *shares]))
    values = np.array(values)
    base = values[:, 0].mean()
    for share, column in zip(shares, values[:, 1:].T, strict=True):
        error = (column - values[:, 0]).std(ddof=1) / np.sqrt(worlds) / base
        say(f"share {share:.2f}: {column.mean() / base - 1:+.1%} ± {1.96 * error:.1%}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=20, metavar="N", help="null worlds (20); a quarter a rung")
    parser.add_argument("--full", action="store_true", help="200 null worlds, 50 a rung")
    parser.add_argument("--kitchen", action="store_true", help="SIMULATED diners instead of last.fm")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of colakg_lastfm")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
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
        calibrate(source, options.data, options.worlds, [0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0], print)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        played = adversaries(Path(folder))
    if options.adversaries:
        print(json.dumps(played, indent=2))
        return 0
    null = 200 if options.full else options.worlds
    found = study(source, options.data, null, max(null // 4, 1), options.jobs, say) | {"adversaries": played}
    print(json.dumps(found, indent=2) if options.json else table(found))
    return 1 if found["false_promotions"] > found["allowed"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""Can the quick score of a program be believed? Rank correlation of *lite* with the retrained truth.

    python evals/benchmarks/reward.py [--only lastfm,text,tags,users] [--data ../shared/data] [--store FOLDER] [--json]

A study takes programs of known worth (an LM's texts cut, mixed, dealt to the wrong subjects, drowned in noise; tags
with a share of them wrong), gives each the score that compile gives it (*lite*: 15 rounds on the behaviour margin, on
tune-A; and the completion score from 100 subjects), and holds the scores to the truth: what the retrained ranker gains
by the program's columns on test, mean of `--seeds` seeds. Four kinds:

    lastfm  item texts: CoLaKG's of the --artists most played artists; no times, a fifth of them loses its history
    text    item texts of the kitchen: names, ingredients, methods, labels in words
    tags    item tags of the kitchen: its labels with a share of them wrong
    users   user tags of the kitchen: the tastes of the dishes that a diner liked, with a share of them wrong

Intervals are percentiles of a bootstrap over programs. The lists of tune-A and test are a further source, which they
do not cover. The first run encodes texts (some minutes); with --store they are kept.
"""

import argparse
import csv
import gzip
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

KINDS = ("lastfm", "text", "tags", "users")
SAMPLE = 100  # subjects of the completion score: what a search affords
ARTISTS = 1000  # of last.fm, the most played: time goes with their number

LASTFM = """\
name: lastfm
data:
  items: {path: items.csv, id: item, name: name, text: [name, tags], facts: [llm_text]}
  events: {path: plays.csv, user: user, item: item, value: listen_count}
  split: {by: user}
tasks:
  about:
    for: item
    inputs: [llm_text]
    write: Describe the artist.
    outputs: {text: {type: text, grounding: open}}
"""


@dataclass
class Program:
    """One program: the vectors of its texts, and what a user's vector is compared with."""

    name: str
    vectors: list
    met: list = field(default_factory=list)
    truth: float = 0.0
    lite: float = 0.0
    completion: float = 0.0
    seconds: float = 0.0


def cut(text: str, first: int, last: int | None = None) -> str:
    return " ".join(text.split()[first:last])


def sentence(text: str, n: int) -> str:
    found = re.split(r"(?<=[.!?])\s+", text.strip())
    return found[n] if -len(found) <= n < len(found) else found[-1]


def keywords(texts: list[str], n: int = 8) -> list[str]:
    """The n words of each text that are rarest among the texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    tfidf = TfidfVectorizer(sublinear_tf=True, stop_words="english", token_pattern=r"(?u)\b[^\W\d]{2,}\b")
    weights, words = tfidf.fit_transform(texts), tfidf.get_feature_names_out()
    best = (sorted(zip(-r.data, r.indices, strict=True))[:n] for r in (weights.getrow(i) for i in range(len(texts))))
    return [" ".join(words[j] for _, j in row) for row in best]


def lastfm_texts(items: list[dict]) -> dict[str, list[str]]:
    """Texts of every artist, by program."""
    rng = np.random.default_rng(0)
    full, names = [i["llm_text"] for i in items], [i["name"] for i in items]
    tags = [i["tags"] if isinstance(i["tags"], list) else [i["tags"] or ""] for i in items]
    made = {"full": full, "title": names, "tags": [", ".join(t) for t in tags], "first tag": [t[0] for t in tags]}
    for n in (4, 8, 16, 32):
        made[f"first {n} words"] = [cut(t, 0, n) for t in full]
    made["last 16 words"] = [cut(t, -16) for t in full]
    made["second sentence"] = [sentence(t, 1) for t in full]
    made["32 words, shuffled"] = [" ".join(rng.permutation(t.split()[:32])) for t in full]
    made["8 keywords"] = keywords(full)
    praise = "A wonderful artist with many fans, whose music is loved by people all over the world."
    made["title and praise"] = [f"{n}: {praise}" for n in names]
    return made


def blend(own: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    """The encoding of a text of which `share` speaks of another subject."""
    mixed = (1 - share) * own + share * other
    return (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)


def drowned(own: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Rows with normal noise of `noise` times their usual deviation from the mean row."""
    scale = np.sqrt(((own - own.mean(axis=0)) ** 2).mean())
    return (own + rng.normal(0, noise * scale, own.shape)).astype(np.float32)


def dealt(own: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """The same rows, a `share` of them dealt to one another: the text of a wrong subject."""
    some = np.flatnonzero(rng.random(len(own)) < share)
    made = own.copy()
    made[some] = own[rng.permutation(some)]
    return made


def without(own: np.ndarray, gone: np.ndarray) -> np.ndarray:
    made = own.astype(np.float32)
    made[gone] = np.nan
    return made


def worn(own: np.ndarray, liked: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Ways in which texts get worse, of known order within each way. `liked` counts the likes of each subject."""
    for share in (0.1, 0.25, 0.5, 0.75):
        yield f"{share:.0%} of another's text", blend(own, own[rng.permutation(len(own))], share)
    for share in (0.1, 0.25, 0.5, 0.75, 1.0):
        yield f"{share:.0%} dealt wrong", dealt(own, share, rng)
    for noise in (0.5, 1, 2, 4, 8):
        yield f"noise {noise}", drowned(own, noise, rng)
    for share in (0.25, 0.5, 0.75):
        yield f"{share:.0%} missing", without(own, rng.random(len(own)) < share)
    order = np.argsort(np.argsort(liked, kind="stable"), kind="stable")
    yield "only the popular half", without(own, order < len(own) / 2)
    yield "only the rare half", without(own, order >= len(own) / 2)


def encoded(session, texts: dict[str, list[str]], best: str, also: str) -> list[Program]:
    """Programs of texts, and of the `best` and `also` ones worn."""
    from tokenrec.features.types import Vectors

    rng, n_items = np.random.default_rng(1), len(session.dataset.item_ids)
    likes = session.dataset.events
    liked = np.bincount(likes.item[likes.positive & (likes.window == 0)], minlength=n_items)

    def program(name: str, matrix: np.ndarray) -> Program:
        columns = [f"e{i}" for i in range(matrix.shape[1])]
        return Program(name, [Vectors("program", "text", "item", matrix, columns, False, session.encoder.encoder_id)])

    matrices = {name: session.encoder.encode(session.db, lines) for name, lines in texts.items()}
    found = [program(*pair) for pair in matrices.items()]
    found += [program(f"{best}, {how}", m) for how, m in worn(np.nan_to_num(matrices[best]), liked, rng)]
    some = ("50% dealt wrong", "noise 1", "50% missing")
    weak = worn(np.nan_to_num(matrices[also]), liked, rng)
    return found + [program(f"{also}, {how}", m) for how, m in weak if how in some]


def lastfm(data: Path, folder: Path, artists_kept: int = ARTISTS):
    """(session, programs) of last.fm. Its settings are given: to choose them takes as long as ten programs."""
    from tokenrec.ranking.ranker import Settings

    pack, project = data / "colakg_lastfm", folder / "lastfm"
    project.mkdir(parents=True, exist_ok=True)
    with gzip.open(pack / "llm_items.jsonl.gz", "rt", encoding="utf-8") as file:
        artists = {str(a["item"]): a for a in map(json.loads, file)}
    plays = []
    for part in ("train", "test"):
        with gzip.open(pack / f"{part}.csv.gz", "rt", encoding="utf-8") as file:
            plays += list(csv.reader(file))[1:]
    kept = {item for item, _ in Counter(row[1] for row in plays).most_common(artists_kept)}
    with open(project / "items.csv", "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["item", "name", "tags", "llm_text"])
        for a in (artists[i] for i in sorted(kept)):
            rows.writerow([a["item"], a["name"], json.dumps(a["tags"], ensure_ascii=False), a["llm_text"]])
    with open(project / "plays.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["user", "item", "listen_count"], *[row for row in plays if row[1] in kept]])
    (project / "lastfm.yaml").write_text(LASTFM, encoding="utf-8")
    (project / "tokenrec.yaml").write_text(f"store: {folder / 'store.db'}\nallow_outside: true\n", encoding="utf-8")
    session = opened(project / "lastfm.yaml", without_history, Settings(rounds=40, negatives=40))
    return session, encoded(session, lastfm_texts(list(session.dataset.items)), "full", "tags")


def without_history(dataset):
    """The same data where a fifth of the items has lost its history events: to most rankers they are new."""
    from tokenrec.dataset.split import held_items
    from tokenrec.dataset.types import Events
    from tokenrec.recipe.models import Split

    held, e = held_items(dataset.item_ids, Split()), dataset.events
    keep = ~(held[e.item] & (e.window == 0))
    kept = Events(*(getattr(e, f)[keep] for f in ("user", "item", "time", "value", "positive", "window")))
    return replace(dataset, events=kept, held=held)


def opened(recipe: Path, change=lambda dataset: dataset, settings=None):
    """A session with lists and columns as compile has it before a search; it chooses the settings that aren't given."""
    from tokenrec.compiler.baseline import prepare_baseline
    from tokenrec.compiler.session import embed_items, open_session
    from tokenrec.recipe.load import load_recipe
    from tokenrec.report.progress import Stages

    session = open_session(load_recipe(recipe, check_files=False), "reward")
    session.dataset = change(session.dataset)
    if settings is None:
        prepare_baseline(session, Stages(None))
        return session
    session.settings = settings
    embed_items(session, lambda done, total: None)
    session.make_lists()
    return session


def measure(session, programs: list[Program], seeds: int, say) -> list[Program]:
    """Fill in every program's truth, *lite* and completion score; `seconds` are CPU seconds of *lite* with columns."""
    from tokenrec.compiler.reward import LiteScore
    from tokenrec.compiler.session import make_columns
    from tokenrec.dataset.types import FIT, TEST
    from tokenrec.evidence.arms import measure_arms

    metric = session.recipe.objective.metric
    lite = LiteScore(session)
    base = {"behaviour": tuple(session.behaviour(w) for w in (FIT, TEST))}
    lists = session.lists[FIT], session.lists[TEST]

    def value(blocks: dict) -> float:
        arms = {"arm": list(blocks)}
        return measure_arms(
            session.dataset, *lists, blocks, arms, session.settings, list(range(seeds))
        ).mean("arm", metric)

    behaviour, by_text = value(base), completion_scorer(session, programs)
    for p in programs:
        p.completion = by_text(p)
        begun = time.process_time()
        p.lite = lite(p.vectors, p.met)
        p.seconds = time.process_time() - begun
        columns = (make_columns("program", p.vectors, session.dataset, w, p.met) for w in lists)
        p.truth = value(base | {"program": tuple(columns)}) - behaviour
        say(f"{p.name:34} truth {p.truth:+.4f}  lite {p.lite:+.4f}  completion {p.completion:.3f}  {p.seconds:.2f} s")
    return programs


def completion_scorer(session, programs: list[Program]):
    """A program's mean completion score over SAMPLE subjects, the same ones for all."""
    from tokenrec.compiler.reward import ItemAUC, UserAUC
    from tokenrec.ids import unit_hash

    def joined(vectors: list) -> np.ndarray:
        return np.concatenate([v.matrix for v in vectors], axis=1).astype(float)

    def drawn(subjects) -> list[int]:
        return sorted(subjects, key=lambda s: unit_hash("completion", s))[:SAMPLE]

    if programs[0].met:  # texts about users
        reward = ItemAUC.of_users(session.dataset, joined(programs[0].met))
        told = {int(u) for u in np.flatnonzero(~np.isnan(joined(programs[0].vectors)).any(axis=1))}
        users = drawn(u for u in reward.find if u in told)

        def by_users(p: Program) -> float:
            own = joined(p.vectors)
            return float(np.mean([reward.score(u, own[u], np.nanmean(own[users], axis=0)) for u in users]))

        return by_users
    rewards = {}

    def score(p: Program) -> float:
        own = joined(p.vectors)
        kinds = tuple(v.output for v in p.vectors)
        if kinds not in rewards:  # the first program of a kind stands for the incumbent
            rewards[kinds] = UserAUC(session.dataset, own)
        items = drawn(rewards[kinds].subjects())
        mean, scale = np.nanmean(own[items], axis=0), np.maximum(np.nanstd(own[items], axis=0), 1e-6)
        return float(np.mean([rewards[kinds].score(i, own[i], mean, scale) for i in items]))

    return score


def correlation(programs: list[Program], score: str, draws: int = 2000) -> tuple[float, float, float]:
    """(Spearman with the truth, low, high): a 95% interval over programs."""
    from scipy.stats import spearmanr

    said, truth = (np.array([getattr(p, k) for p in programs]) for k in (score, "truth"))
    rng, drawn = np.random.default_rng(0), []
    for _ in range(draws):
        some = rng.integers(0, len(said), len(said))
        drawn.append(spearmanr(said[some], truth[some]).statistic)
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return float(spearmanr(said, truth).statistic), float(low), float(high)


def kitchen(folder: Path):
    """A session on the bundled kitchen, and its labels: {field: (float[n_items, choices], choices)}."""
    from tokenrec.dataset.load import load_labels
    from tokenrec.features.vectors import oracle

    project = folder / "kitchen"
    project.mkdir(parents=True, exist_ok=True)
    recipe = (ROOT / "recipes/recipe_app.yaml").read_text(encoding="utf-8")
    (project / "recipe_app.yaml").write_text(recipe.replace("kitchen/", f"{ROOT}/recipes/kitchen/"), encoding="utf-8")
    (project / "tokenrec.yaml").write_text(f"store: {folder / 'store.db'}\nallow_outside: true\n", encoding="utf-8")
    session = opened(project / "recipe_app.yaml")
    labels = oracle(session.recipe, session.dataset, load_labels(session.recipe, session.loaded.folder))
    return session, {v.output: (np.nan_to_num(v.matrix), v.columns) for v in labels}


def kitchen_texts(items: list[dict], labels: dict) -> dict[str, list[str]]:
    """Texts of every dish, by program; some say the labels in words, as a good writer would."""
    def words(field: str) -> list[str]:
        matrix, names = labels[field]
        return [", ".join(n for n, on in zip(names, row, strict=True) if on) for row in matrix]

    def listed(value) -> str:
        return ", ".join(value) if isinstance(value, list) else str(value or "")

    names, methods = [i["name"] for i in items], [listed(i["method"]) for i in items]
    things, taste = [listed(i["ingredients"]) for i in items], words("taste")
    whole = [f"{n}: {t}. {i}" for n, t, i in zip(names, taste, things, strict=True)]
    made = {
        "name": names, "ingredients": things, "cuisine": [listed(i["cuisine"]) for i in items],
        "first ingredient": [t.split(",")[0] for t in things], "method, 24 words": [cut(m, 0, 24) for m in methods],
        "method, 8 words": [cut(m, 0, 8) for m in methods], "method, last 16 words": [cut(m, -16) for m in methods],
        "taste": taste, "texture": words("texture"), "occasion": words("occasion"), "name, taste, ingredients": whole,
        "taste in a sentence": [f"A diner would find this dish {t}." for t in taste],
        "name and taste": [f"{n}: {t}" for n, t in zip(names, taste, strict=True)],
        "name and praise": [f"{n}: a wonderful dish that the whole family will love." for n in names],
    }  # fmt: skip
    return made


def text_programs(session, labels: dict) -> list[Program]:
    texts = kitchen_texts(list(session.dataset.items), labels)
    return encoded(session, texts, "name, taste, ingredients", "ingredients")


def wrong(tags: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Tags of which a share is taken off and as many wrong ones are put on."""
    made = tags.copy()
    for row in made:
        for on in np.flatnonzero(row):
            if rng.random() < rate:
                row[on], row[rng.choice(np.flatnonzero(row == 0))] = 0, 1
    return made


def likelihoods(tags: np.ndarray, auroc: float, rng: np.random.Generator) -> np.ndarray:
    """Probabilities of tags as a model gives them, each choice telling at `auroc`."""
    from scipy.stats import norm

    strength = np.sqrt(2) * norm.ppf(auroc)
    odds = np.exp(strength * tags + rng.normal(size=tags.shape))
    return odds / odds.sum(axis=1, keepdims=True)


def tag_programs(session, labels: dict) -> list[Program]:
    rng, likes = np.random.default_rng(2), session.dataset.events
    liked = np.bincount(likes.item[likes.positive & (likes.window == 0)], minlength=len(session.dataset.item_ids))

    def vectors(field: str, matrix: np.ndarray):
        return closed("program", field, "item", matrix, labels[field][1])

    taste = labels["taste"][0]
    found = [Program(f, [vectors(f, labels[f][0])]) for f in ("taste", "texture", "occasion", "season")]
    found.append(Program("taste and texture", [vectors(f, labels[f][0]) for f in ("taste", "texture")]))
    found.append(Program("taste and season", [vectors(f, labels[f][0]) for f in ("taste", "season")]))
    for rate in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1.0):
        found.append(Program(f"taste, {rate:.0%} wrong", [vectors("taste", wrong(taste, rate, rng))]))
    found.append(Program("occasion, 30% wrong", [vectors("occasion", wrong(labels["occasion"][0], 0.3, rng))]))
    for auroc in (0.99, 0.97, 0.95, 0.92, 0.9, 0.85, 0.8, 0.7):
        found.append(Program(f"taste, AUROC {auroc}", [vectors("taste", likelihoods(taste, auroc, rng))]))
    for how, made in worn(taste, liked, rng):
        if "dealt" in how or "missing" in how or "half" in how:
            found.append(Program(f"taste, {how}", [vectors("taste", made)]))
    return found


def closed(source: str, output: str, subject: str, matrix: np.ndarray, choices: list[str]):
    from tokenrec.features.types import Vectors

    space = "choices:" + "|".join(choices)
    return Vectors(source, output, subject, matrix.astype(np.float32), choices, True, space)


def user_programs(session, labels: dict) -> list[Program]:
    """Tastes of diners: what they liked in history, as many tags as a program writes, with a share of them wrong."""
    from tokenrec.features.profiles import liked_matrix

    rng, e = np.random.default_rng(3), session.dataset.events
    taste, choices = labels["taste"]
    met = [closed("flavour", "taste", "item", taste, choices)]
    liked = liked_matrix(session.dataset, e.window == 0)
    count = np.asarray(liked.sum(axis=1)).ravel()
    mean = (liked @ taste) / np.maximum(count, 1)[:, None] - taste.mean(axis=0)
    nobody = count < 2

    def program(name: str, matrix: np.ndarray) -> Program:
        return Program(name, [closed("program", "likes", "user", without(matrix, nobody), choices)], met)

    def top(scores: np.ndarray, n: int) -> np.ndarray:
        return (np.argsort(np.argsort(-scores, axis=1), axis=1) < n).astype(float)

    found = [program("mean of the liked", mean)]
    found += [program(f"top {n}", top(mean, n)) for n in (1, 2, 3, 4, 6)]
    rates = (0.1, 0.25, 0.5, 0.75, 1)
    found += [program(f"top {n}, {r:.0%} wrong", wrong(top(mean, n), r, rng)) for n in (1, 3) for r in rates]
    for how, made in worn(mean, count, rng):
        found.append(program(f"mean, {how}", made))
    same = top(np.tile(mean.mean(axis=0), (len(mean), 1)), 3)
    found.append(program("the same for all but the top one", 0.1 * top(mean, 1) + same))
    found.append(program("the opposite", top(-mean, 3)))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(KINDS), help=f"kinds, of {','.join(KINDS)}")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of colakg_lastfm")
    parser.add_argument("--store", type=Path, help="keep encoded texts there")
    parser.add_argument("--seeds", type=int, default=3, help="ranker seeds of the truth (3)")
    parser.add_argument("--artists", type=int, default=ARTISTS, help=f"artists of last.fm ({ARTISTS})")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    kinds = options.only.split(",")
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"--only: {', '.join(unknown)} is no kind; choose among {', '.join(KINDS)}")
    if "lastfm" in kinds and not (options.data / "colakg_lastfm").is_dir():
        print(f"{options.data}/colakg_lastfm is not here: lastfm is skipped (--data says where)", file=sys.stderr)
        kinds.remove("lastfm")

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.store or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        found: dict[str, dict] = {}
        for kind in kinds:
            say(f"== {kind}")
            if kind == "lastfm":
                session, programs = lastfm(options.data, folder, options.artists)
            else:
                session, labels = kitchen(folder)
                programs = {"text": text_programs, "tags": tag_programs, "users": user_programs}[kind](session, labels)
            found[kind] = summary(measure(session, programs, options.seeds, say))
            say(json.dumps({k: v for k, v in found[kind].items() if k != "rows"}))
    first = found[kinds[0]] if kinds else {}
    top = {k: first.get(k) for k in ("programs", "spearman", "low", "high", "seconds_per_program")}
    if options.json:
        print(json.dumps(top | {"by_kind": found}, indent=2))
    else:
        print(table(found))
    return 0


def table(found: dict[str, dict]) -> str:
    """Markdown."""
    lines = ["| kind | programs | lite | 95% interval | completion score | CPU s a program |", "|---|" + "---:|" * 5]
    for kind, f in found.items():
        lines.append(
            f"| {kind} | {f['programs']} | {f['spearman']:.2f} | {f['low']:.2f} to {f['high']:.2f} "
            f"| {f['completion']['spearman']:.2f} | {f['seconds_per_program']:.1f} |"
        )
    return "\n".join(lines)


def summary(programs: list[Program]) -> dict:
    lite, completion = correlation(programs, "lite"), correlation(programs, "completion")
    return {
        "programs": len(programs), "spearman": lite[0], "low": lite[1], "high": lite[2],
        "seconds_per_program": float(np.mean([p.seconds for p in programs])),
        "completion": dict(zip(("spearman", "low", "high"), completion, strict=True)),
        "rows": [{"program": p.name, "truth": p.truth, "lite": p.lite, "completion": p.completion} for p in programs],
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

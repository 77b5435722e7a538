"""Programs of known worth for reward.py: texts and tags on real and simulated people, made worse step by step.

Each kind gives a session, as compile has it before a search, and programs: vectors of an LM's texts cut, mixed, dealt
to the wrong subjects or drowned in noise, and tags with a share of them wrong.
"""

import csv
import gzip
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

LASTFM = """\
name: lastfm
data:
  items: {path: items.csv, id: item, name: name, text: [name, tags], facts: [llm_text]}
  events: {path: plays.csv, user: user, item: item, value: listen_count}
  split: {by: user, seed: SEED}
tasks:
  about:
    for: item
    inputs: [llm_text]
    write: Describe the artist.
    outputs: {text: {type: text, grounding: open}}
"""


@dataclass
class Program:
    """One program: the vectors of its texts, what a user's vector is compared with, and what was measured of it.

    `gains` has what each test list gains by the program's columns, all seeds; the truth is its mean.
    """

    name: str
    vectors: list
    met: list = field(default_factory=list)
    truth: float = 0.0
    lite: float = 0.0
    retrained: float = 0.0
    completion: float = 0.0
    history: float = 0.0
    seconds: float = 0.0
    gains: np.ndarray | None = None


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
    return (mixed / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-9)).astype(np.float32)


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


def lastfm(data: Path, folder: Path, artists_kept: int, seed: int, recipe: str = LASTFM, choose: bool = False):
    """A session on last.fm's most played artists, a fifth of them without history; a recipe that splits by
    item_holdout sees to that itself. Its settings are given unless `choose`: that takes as long as ten programs."""
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
    (project / "lastfm.yaml").write_text(recipe.replace("SEED", str(seed)), encoding="utf-8")
    (project / "tokenrec.yaml").write_text(f"store: {folder / 'store.db'}\nallow_outside: true\n", encoding="utf-8")
    change = (lambda data: data) if "item_holdout" in recipe else (lambda data: without_history(data, seed))
    return opened(project / "lastfm.yaml", change, None if choose else Settings())


def artist_programs(session) -> list[Program]:
    return encoded(session, lastfm_texts(list(session.dataset.items)), "full", "tags")


def without_history(dataset, seed: int):
    """The same data where a fifth of the items has lost its history events: to most rankers they are new."""
    from tokenrec.dataset.split import held_items
    from tokenrec.dataset.types import Events
    from tokenrec.recipe.data import Split

    held, e = held_items(dataset.item_ids, Split(seed=seed)), dataset.events
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


def kitchen(folder: Path, seed: int):
    """A session on the bundled kitchen, and its labels: {field: (float[n_items, choices], choices)}."""
    from tokenrec.dataset.load import load_labels
    from tokenrec.features.vectors import oracle

    project = folder / "kitchen"
    project.mkdir(parents=True, exist_ok=True)
    recipe = (ROOT / "recipes/recipe_app.yaml").read_text(encoding="utf-8")
    recipe = recipe.replace("kitchen/", f"{ROOT}/recipes/kitchen/").replace("split: {", f"split: {{seed: {seed}, ")
    (project / "recipe_app.yaml").write_text(recipe, encoding="utf-8")
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
                put = rng.choice(np.flatnonzero(row == 0))
                row[on], row[put] = 0, 1
    return made


def likelihoods(tags: np.ndarray, auroc: float, rng: np.random.Generator) -> np.ndarray:
    """Probabilities of tags as a model gives them, each choice telling at `auroc`."""
    from scipy.stats import norm

    strength = np.sqrt(2) * norm.ppf(auroc)
    odds = np.exp(strength * tags + rng.normal(size=tags.shape))
    return odds / odds.sum(axis=1, keepdims=True)


def tag_programs(session, labels: dict, seed: int) -> list[Program]:
    rng, likes = np.random.default_rng([2, seed]), session.dataset.events
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


def user_programs(session, labels: dict, seed: int) -> list[Program]:
    """Tastes of diners: what they liked in history, as many tags as a program writes, with a share of them wrong."""
    from tokenrec.features.profiles import liked_matrix

    rng, e = np.random.default_rng([3, seed]), session.dataset.events
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


def query_programs(session, seed: int) -> list[Program]:
    """Vectors of users made from one half of their likes in history (`shown`), as a text about a query would be."""
    from tokenrec.features.types import Vectors

    rng, dataset = np.random.default_rng([4, seed]), session.dataset
    texts = lastfm_texts(list(dataset.items))
    full, tags = (session.encoder.encode(session.db, texts[name]) for name in ("full", "tags"))
    names, space = [f"e{i}" for i in range(full.shape[1])], session.encoder.encoder_id
    met = [Vectors("about", "text", "item", full, names, False, space)]
    half = shown(dataset, seed)
    count = np.array([len(half.get(u, ((),))[0]) for u in range(len(dataset.user_ids))])

    def means(items: np.ndarray, most: int = 10**6) -> np.ndarray:
        """Of the shown likes, at most so many."""
        made = np.zeros((len(count), items.shape[1]))
        for user, (seen, _) in half.items():
            made[user] = items[seen[:most]].mean(axis=0)
        return made

    def program(name: str, matrix: np.ndarray) -> Program:
        return Program(name, [Vectors("program", "text", "user", without(matrix, count < 1), names, False, space)], met)

    mean = means(full)
    found = [program("all shown", mean), program("tags of all shown", means(tags))]
    found += [program(f"{n} of the shown", means(full, n)) for n in (1, 2, 3, 5, 8)]
    found += [program(f"tags of {n} of the shown", means(tags, n)) for n in (1, 3)]
    usual = np.tile(mean[count > 0].mean(axis=0), (len(mean), 1))
    found += [program(f"all shown, {share:.0%} of the usual", blend(mean, usual, share)) for share in (0.5, 1)]
    for how, made in worn(mean, count, rng):
        found.append(program(f"all shown, {how}", made))
    some = ("25% dealt wrong", "75% dealt wrong", "noise 2", "50% missing")
    return found + [program(f"3 shown, {how}", made) for how, made in worn(means(full, 3), count, rng) if how in some]


def shown(dataset, seed: int) -> dict[int, tuple[list[int], list[int]]]:
    """user -> (the half of the likes in history that a prompt shows, the half that it holds out), 2 likes or more."""
    e, likes = dataset.events, {}
    for user, item in zip(*(a[e.positive & (e.window == 0)] for a in (e.user, e.item)), strict=True):
        likes.setdefault(int(user), set()).add(int(item))
    rng, found = np.random.default_rng([5, seed]), {}
    for user, items in sorted(likes.items()):
        if len(items) > 1:
            mixed = [int(i) for i in rng.permutation(sorted(items))]
            found[user] = (mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :])
    return found

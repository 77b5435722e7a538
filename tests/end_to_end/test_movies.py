"""recipes/movies.yaml on files as MovieLens has them: what the model knows is kept, factor by factor, else unknown."""

import json
import random
import re

import yaml

from tests.end_to_end.server import serving
from tests.end_to_end.test_main_job import adds_up, holds
from tests.end_to_end.worlds import ROOT, sound, store, tokenrec, write

GENRES = ["Comedy", "Drama", "Thriller", "Animation", "Western", "Romance"]
WORDS = ["harbour", "orchard", "lantern", "glacier", "desert", "violin", "carnival", "lighthouse", "mirror", "railway"]
SAYS = ["brother", "sister", "judge", "sailor", "widow", "orphan", "baker", "spy", "violinist", "farmer", "steals", "mends", "sells", "forgets", "buries", "hides", "trades", "chases", "forgives", "envies", "copper", "linen", "amber", "velvet", "granite", "cedar", "salt", "wool", "ivory", "clay", "winter", "dusk", "harvest", "monsoon", "midnight", "festival", "funeral", "wedding", "strike", "trial", "gentle", "bitter", "wry", "tender", "bleak", "solemn", "giddy", "hushed", "feverish", "stately", "bridge", "canal", "attic", "quarry", "ferry", "vineyard", "border", "island", "prison", "school"]
MOVIES, VIEWERS = 40, 120


def folder(root, url: str):
    """The recipe as shipped on a made-up MovieLens."""
    recipe = yaml.safe_load((ROOT / "recipes/movies.yaml").read_text(encoding="utf-8"))
    recipe["lm"] = {"writer": "served"}
    recipe["tasks"]["taste"]["subjects"]["most"] = 5
    recipe["ranker"] = {"seeds": 1, "negatives": 10}
    served = f"{{kind: api, model: openai/big, api_base: '{url}', price: {{input: 1, output: 2}}}}"
    write(root / "tokenrec.yaml", f"models: {{served: {served}}}\n")
    write(root / "recipes/movies.yaml", yaml.safe_dump(recipe, allow_unicode=True, sort_keys=False))
    draw = random.Random(3)
    lines = ["movieId,title,genres"]
    for i in range(MOVIES):
        name = f"The {WORDS[i % 10].title()} {WORDS[i // 10].title()} ({1960 + i})"
        lines.append(f'{i + 1},"{name}",{"|".join(draw.sample(GENRES, 2))}')
    write(root / "recipes/movies/movies.csv", "\n".join(lines) + "\n")
    rows = sorted((draw.randint(10**9, 10**9 + 10**7), u, m, draw.choice([2.5, 3.5, 4.0, 4.5, 5.0]))
                  for u in range(1, VIEWERS + 1) for m in draw.sample(range(1, MOVIES + 1), 14))  # fmt: skip
    text = "\n".join(f"{u},{m},{v},{t}" for t, u, m, v in rows)
    write(root / "recipes/movies/ratings.csv", f"userId,movieId,rating,timestamp\n{text}\n")
    return root / "recipes/movies.yaml"


FACTORS = ["genre", "people", "setting", "character", "plot", "mood", "acclaim", "production", "soundtrack"]


def knows(text: str) -> str:
    """Every third movie is not known at all; of the others the plot and the mood are."""
    if "viewer" in text:
        liked = re.findall(r"The (\w+) (\w+) \(", text.rsplit("[[ ## liked ## ]]", 1)[-1])
        return json.dumps({"reasoning": f"Looks for films of {liked[0][0]} and {liked[-1][1]}, quiet ones above all."})
    first, second, year = re.findall(r"The (\w+) (\w+) \((\d+)\)", text)[-1]
    said = dict.fromkeys(FACTORS, "unknown")
    if int(year) % 3:
        draw = random.Random(year)
        said["plot"] = " ".join(draw.sample(SAYS, 5)).capitalize() + f" near the {first.lower()}."
        said["mood"] = " ".join(draw.sample(SAYS, 4)).capitalize() + f" as a {second.lower()}."
    return json.dumps(said)


def test_movies(tmp_path):
    with serving(knows) as served:
        recipe = folder(tmp_path, served.url)
        code, document, said = tokenrec("compile", recipe)
        assert code == 0, said
        asked = len(served.requests)
        code, again, said = tokenrec("compile", recipe)
        assert again["lm_calls"] == 0 and len(served.requests) == asked
    holds(document)
    adds_up(document, tmp_path)
    by_task = {t["task"]: t for t in document["tasks"]}
    unknown = sum((1960 + i) % 3 == 0 for i in range(MOVIES))
    assert by_task["knowledge"]["accepted"] == MOVIES - unknown, by_task["knowledge"]["reject_reasons"]
    assert by_task["knowledge"]["rejected"] == unknown  # of which nothing is known
    assert by_task["knowledge"]["lm_calls"] == 4 * MOVIES and by_task["taste"]["generated"] == 5
    db = store(tmp_path)
    tokens = [json.loads(o) for (o,) in db.execute("select output from tokens where task = 'knowledge'")]
    assert all(t["plot"] and t["mood"] and t["people"] is None for t in tokens)
    shown = json.loads(db.execute("select inputs from completions where task = 'taste'").fetchone()[0])["liked"]
    assert 2 <= len(shown) <= 4 and all("|" in line for line in shown)  # the earlier half of a history
    assert document["objective"]["slice"] == "cold_items"
    cold = [a for a in document["arms"] if a["slice"] == "cold_items" and a["metric"] == "ndcg@10"]
    assert {a["arm"] for a in cold} >= {"behaviour", "raw_text", "raw_text+knowledge", "placebo", "ungated"}
    assert all(a["n"] > 20 for a in cold)
    assert sound(db)

"""`tokenrec init`: a project that runs as it is."""

import csv
import io
import json
import random
from importlib.resources import files
from pathlib import Path

import click

from tokenrec.cli.output import Out, common_options
from tokenrec.errors import InputError, ServiceError

BUYERS = 80
DAYS = 300
SCAFFOLD = {  # file of the new project: file of the scaffold
    "tokenrec.yaml": "tokenrec.yaml",
    "recipes/my_recipe.yaml": "my_recipe.yaml",
    "data/plants.jsonl": "plants.jsonl",
    "README.md": "README.md",
}


@click.command()
@click.argument("folder", metavar="DIR")
@common_options
def command(out: Out, folder: str) -> None:
    """Make a small project in DIR that runs as it is: a recipe, sample data, tokenrec.yaml.

    The sample items are real house plants; the events are SIMULATED. Nothing that exists is overwritten.
    """
    root = Path(folder)
    written = make_project(root)
    out.emit({"kind": "init", "schema_version": 1, "folder": str(root), "files": written})
    out.print(f"made {root} with {', '.join(written)}")
    out.print(f"next: cd {root} && tokenrec compile recipes/my_recipe.yaml")


def make_project(root: Path) -> list[str]:
    """Write the sample project into `root`; the files written, relative to it.

    Raises InputError when one of the files exists already or `root` is a file (then nothing is
    written), ServiceError when the disk refuses.
    """
    texts = {target: _scaffold(source) for target, source in SCAFFOLD.items()}
    texts["data/events.csv"] = sample_events(texts["data/plants.jsonl"])
    texts[".gitignore"] = ".tokenrec/\n"
    from tokenrec.recipe.schema import project_schema, recipe_schema, schema_text

    texts["schemas/recipe.schema.json"] = schema_text(recipe_schema())
    texts["schemas/project.schema.json"] = schema_text(project_schema())
    try:
        if root.exists() and not root.is_dir():
            raise InputError(f"{root} is a file. name a folder that is new or empty")
        if there := [name for name in texts if (root / name).exists()]:
            raise InputError(f"{root} already holds {', '.join(sorted(there))}, and nothing is overwritten. "
                             f"name another folder")
        for name, text in texts.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8", newline="\n")
    except (OSError, ValueError) as error:
        raise ServiceError(f"{root} cannot be written: {getattr(error, 'strerror', None) or error}. "
                           f"check the path and its permissions") from None
    return sorted(texts)


def _scaffold(name: str) -> str:
    return (files("tokenrec.cli") / "scaffold" / name).read_text(encoding="utf-8")


def sample_events(plants: str, seed: int = 7) -> str:
    """CSV of simulated purchases (buyer, plant_id, day, rating), in order of days; the same for one seed.

    A buyer likes one kind of light and one rhythm of watering; fashion (a long tail over plants) and
    chance do the rest. Only `Random.random` is drawn, whose stream is fixed across Python versions.
    """
    items = [json.loads(line) for line in plants.splitlines()]
    draw = random.Random(seed).random
    fashion = {item["plant_id"]: 1 / (1 + rank) ** 0.5 for rank, item in enumerate(sorted(items, key=lambda _: draw()))}
    rows = []
    for buyer in range(BUYERS):
        light, water = items[int(draw() * len(items))]["light"], items[int(draw() * len(items))]["water"]
        appeal = {i["plant_id"]: 1 + 4 * (i["light"] == light) + 3 * (i["water"] == water) for i in items}
        bought: set[str] = set()
        for _ in range(8 + int(draw() * 7)):
            left = [i["plant_id"] for i in items if i["plant_id"] not in bought]
            weights = [fashion[p] * appeal[p] for p in left]
            mark = draw() * sum(weights)
            for plant, weight in zip(left, weights, strict=True):  # noqa: B007 - the one it stops at is bought
                mark -= weight
                if mark <= 0:
                    break
            bought.add(plant)
            rating = 5 if appeal[plant] >= 4 and draw() < 0.8 else 4 if draw() < 0.6 else 2 + int(draw() * 2)
            rows.append((1 + int(draw() * DAYS), f"buyer{buyer:02d}", plant, rating))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["buyer", "plant_id", "day", "rating"])
    writer.writerows((buyer, plant, day, rating) for day, buyer, plant, rating in sorted(rows))
    return text.getvalue()

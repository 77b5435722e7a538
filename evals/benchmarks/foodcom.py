"""Real people: the ordinary compile on Food.com ratings. Needs the shared data; writes nothing into the project.

    python evals/benchmarks/foodcom.py DATA_DIR [--json] [--subjects N] [--store FOLDER]

DATA_DIR holds ratings.parquet (order, user, item, rating) and recipes.parquet (id, name, description, ...). Only
dishes with a description take part; `order` stands for dates; a rating of 0 means that none was given; 4 and 5 are
likes. The recipe is recipes/foodcom.yaml with these files, and with descriptions where it has ingredients.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SUBJECTS = 600  # dishes that get tags, the most rated first: a few minutes on two cores

EXAMPLES = [
    ("Lemon Posset", "A cold pudding of cream and lemons, sweet and simple.", ["sweet"], ["creamy"]),
    ("Kimchi Pancakes", "Hot and red, fried until the edges brown. Not for the timid!", ["spicy"], ["crispy"]),
    ("Pickled Cabbage Soup", "My grandmother made this with sauerkraut and vinegar.", ["sour"], ["brothy"]),
    ("Sunday Roast Beef", "Slow roasted with gravy and onions. A family favorite.", ["savory"], ["tender"]),
    ("Easy Mac and Cheese", "Lots of cheddar, cream and butter. Pure comfort.", ["rich"], ["creamy"]),
    ("Cucumber Salad", "Mint, yogurt and radishes; great on a hot day.", ["fresh"], ["crunchy"]),
    ("Grilled Eel", "Cooked over charcoal the way my uncle does it.", ["smoky"], ["tender"]),
    ("Thyme Focaccia", "This bread is full of rosemary and thyme.", ["herbal"], ["fluffy"]),
    ("Rice Dumplings", "Coconut and palm sugar inside. The kids love them.", ["sweet"], ["sticky"]),
]


def recipe(data: Path, subjects: int) -> dict[str, Any]:
    """recipes/foodcom.yaml for the layout of DATA_DIR, as a dict. Nothing but data, inputs and examples differ."""
    import yaml

    made = yaml.safe_load((ROOT / "recipes" / "foodcom.yaml").read_text(encoding="utf-8"))
    made["name"] = "foodcom_dense"
    made["data"] = {
        "items": {
            "path": str(data / "recipes.parquet"), "id": "id", "name": "name", "text": ["name", "description"],
            "facts": ["category", "minutes"], "where": "description",
        },
        "events": {
            "path": str(data / "ratings.parquet"), "user": "user", "item": "item", "time": "order",
            "value": "rating", "positive": ">= 4", "none_value": 0,
        },
    }  # fmt: skip
    flavour = made["tasks"]["flavour"]
    flavour["inputs"] = ["name", "description"]
    names = ("name", "description", "taste", "texture")
    flavour["examples"] = [dict(zip(names, example, strict=True)) for example in EXAMPLES]
    flavour["subjects"] = {"most": subjects, "order": "popular"}
    made["privacy"] = {"send": ["name", "description"]}
    return made


def project(data: Path, folder: Path, subjects: int) -> Path:
    """A project in `folder` whose recipe reads `data`; the path of its recipe."""
    import yaml

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenrec.yaml").write_text("store: store.db\nallow_outside: true\n", encoding="utf-8")
    file = folder / "foodcom_dense.yaml"
    file.write_text(yaml.safe_dump(recipe(data, subjects), sort_keys=False, allow_unicode=True), encoding="utf-8")
    return file


def main() -> int:
    from tokenrec.cli.main import run

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA_DIR", help="folder of ratings.parquet and recipes.parquet")
    parser.add_argument("--json", action="store_true", help="print the compile's JSON document")
    parser.add_argument("--subjects", type=int, default=SUBJECTS, metavar="N", help=f"dishes to tag ({SUBJECTS})")
    parser.add_argument("--store", type=Path, metavar="FOLDER", help="keep the store there and go on from it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        file = project(options.data.resolve(), options.store or Path(scratch), options.subjects)
        return run(["compile", str(file), *(["--json"] if options.json else [])])


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())

"""Wrong language in short texts: how often noise/language notices, and how often it is wrong.

    pip install --no-deps --target FOLDER spacy django wagtail sphinx
    python evals/benchmarks/languages.py FOLDER

Sentences of 28 languages: spaCy's examples, and the gettext translations of Django, Wagtail and Sphinx that have 5
to 40 words, at most 60 of a source and language. Their code is not run. English texts that must pass: LM descriptions,
recipe names and descriptions of ../shared/data, at most 1,500 of a kind.
"""

import argparse
import ast
import gettext
import gzip
import json
import random
import re
import sys
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
sys.path.insert(0, str(ROOT))
LATIN = ["es", "fr", "de", "it", "pt", "nl", "sv", "da", "nb", "pl", "cs", "ro", "hu", "tr", "id", "vi", "fi"]
CODES = LATIN + ["ru", "uk", "ar", "fa", "he", "zh", "ja", "ko", "hi", "th", "el"]


def sentences(folder: Path) -> list[tuple[str, str]]:
    """(language, sentence)."""
    from tokenrec.gates.text import count_words

    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path in folder.glob("spacy/lang/*/examples.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and node.targets[0].id == "sentences":
                found[path.parent.name, "spacy"].update(ast.literal_eval(node.value))
    for source in ("wagtail", "django", "sphinx"):
        for path in (folder / source).rglob("*.mo"):
            with open(path, "rb") as file:
                catalogue = gettext.GNUTranslations(file)._catalog
            code = re.split("[_@-]", path.parts[path.parts.index("LC_MESSAGES") - 1])[0].lower()
            for key, said in catalogue.items():
                if key and said != (key[0] if isinstance(key, tuple) else key):
                    plain = re.sub(r"%\([^)]*\)[sd]|%[sd]|\{[^}]*\}|<[^>]*>|&\w+;", " ", said)
                    plain = re.sub(r"\s+", " ", plain).strip()
                    if 5 <= count_words(plain) <= 40 and not re.search(r"https?:|[{}<>_]|--", plain):
                        found[code, source].add(plain)
    rng, drawn = random.Random(0), []
    for (code, _), texts in sorted(found.items()):
        ordered = sorted(texts)
        rng.shuffle(ordered)
        drawn += [(code, t) for t in ordered[:60] if code in CODES]
    return drawn


def english() -> list[str]:
    import pyarrow.parquet as pq

    from tokenrec.gates.text import count_words

    def lines(path):
        with gzip.open(DATA / path, "rt", encoding="utf-8") as rows:
            return [json.loads(row) for row in rows]

    dishes = pq.read_table(DATA / "foodcom_dense/recipes.parquet").to_pylist()
    kinds = [
        [r["description"] for r in lines("once_goodreads/llm_descriptions.jsonl.gz")],
        [t for r in lines("recipe_mpr/queries.jsonl.gz") for t in r["options"].values()],
        [r.get("name") or "" for r in dishes],
        [r["description"] or "" for r in dishes],
    ]
    rng, drawn = random.Random(1), []
    for texts in kinds:
        kept = [t for t in texts if 5 <= count_words(t) <= 40]
        rng.shuffle(kept)
        drawn += kept[:1500]
    return drawn


def main() -> None:
    from tokenrec.gates.noise.language import language

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    cases = sentences(parser.parse_args().folder)
    if not cases:
        sys.exit("no sentences there: pip install --no-deps --target FOLDER spacy django wagtail sphinx")
    caught = [(code, not language(text, "en").passed) for code, text in cases]
    latin = [hit for code, hit in caught if code in LATIN]
    print(f"asked for English: {sum(h for _, h in caught) / len(caught):.1%} of {len(caught):,} sentences in 28 other "
          f"languages noticed; of those in Latin script {sum(latin) / len(latin):.1%}")  # fmt: skip
    own = [(code, text) for code, text in cases if not language(text, code).passed]
    print(f"asked for their own: {len(own)} of {len(cases):,} refused")
    if DATA.is_dir():
        texts = english()
        start = time.process_time()
        wrong = [t for t in texts if not language(t, "en").passed]
        speed = len(texts) / (time.process_time() - start)
        print(f"English: {len(wrong)} of {len(texts):,} refused, {speed:,.0f} a second", *wrong, sep="\n  ")


if __name__ == "__main__":
    main()

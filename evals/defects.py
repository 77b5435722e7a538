"""Defects of published LM texts as cases of a suite (defects.yaml). The texts stay where they are: ../shared/data."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

BOOKS, ARTISTS = "once_goodreads", "colakg_lastfm"


def cases(folder: Path) -> Iterator[dict]:
    """Every text of a judged file; those on the list of defects say what is expected, the others are neighbours.

    Raises FileNotFoundError where the shared data is not on this machine.
    """
    data = folder.parents[1] / "shared" / "data"
    if not (data / "defects.jsonl").is_file():
        raise FileNotFoundError(f"the published texts are not on this machine (looked for {data / 'defects.jsonl'})")
    listed: dict[tuple[str, str], dict] = {}
    with open(data / "defects.jsonl", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            listed[row["folder"], row["id"]] = {"expect": row["expect"], "kind": row["kind"]}

    def case(folder: str, key: str, task: str, name: str, record: dict, output) -> dict:
        said = listed.get((folder, key), {})
        return {"id": f"{task}/{key}", "task": task, "subject": key, "name": name, "record": record, "output": output,
                **said}  # fmt: skip

    for r in _rows(data / BOOKS / "llm_descriptions.jsonl.gz"):
        title = r["title"]
        yield case(f"{BOOKS}/llm_descriptions", r["bid"], "book", title, {"title": title}, r["description"])
    for r in _rows(data / ARTISTS / "llm_items.jsonl.gz"):
        record = {"name": r["name"], "tags": r["tags"]}
        yield case(f"{ARTISTS}/llm_items", str(r["item"]), "artist", r["name"], record, r["llm_text"])
    for r in _rows(data / "recipe_mpr" / "queries.jsonl.gz"):
        yield case("recipe_mpr", r["qid"], "option", "", {}, r["options"][r["answer"]])
    for r in _rows(data / BOOKS / "llm_profiles.jsonl.gz"):
        key = str(r["uid"])
        if (f"{BOOKS}/llm_profiles", key) in listed:
            yield case(f"{BOOKS}/llm_profiles", key, "profile", "", {}, {"interests": r["interest"]})
    titles = {str(b["bid"]): b["title"] for b in _rows(data / BOOKS / "books.jsonl.gz")}
    read = {str(h["uid"]): h["history"] for h in _rows(data / BOOKS / "histories.jsonl.gz")}
    for r in _rows(data / BOOKS / "llm_synthetic_books.jsonl.gz"):
        liked = [titles[b] for b in map(str, read.get(str(r["uid"]), [])) if b in titles]
        output = json.loads(r["raw_response"])
        yield case(f"{BOOKS}/llm_synthetic_books", r["gen_id"], "new_book", "", {"liked": liked}, output)


def _rows(path: Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]

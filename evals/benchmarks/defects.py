"""Gates against real defects: caught and false alarms by kind. Needs the shared data; prints, stores nothing.

    python -m evals.benchmarks.defects [DATA_FOLDER]

Each folder's texts are judged by an ordinary task (see TASKS), all texts of the folder at once, as a compile would.
"""

import gzip
import json
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

from tokenrec.gates.base import Candidate
from tokenrec.gates.judge import Judge
from tokenrec.recipe.models import Task

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def rows(path: Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def candidates(data: Path, folder: str) -> tuple[Judge, list[Candidate]]:
    """The task that a folder's texts answer, and the texts as candidates; key = the defect list's id."""
    open_text = {"type": "text", "grounding": "open"}
    if folder == "once_goodreads/llm_descriptions":
        task = {
            "for": "item",
            "inputs": ["title"],
            "write": "Describe the book.",
            "outputs": {"description": open_text},
        }
        found = [
            (r["bid"], {"description": r["description"]}, {"title": r["title"]}, r["title"])
            for r in rows(data / f"{folder}.jsonl.gz")
        ]
    elif folder == "colakg_lastfm/llm_items":
        task = {
            "for": "item",
            "inputs": ["name", "tags"],
            "write": "Describe the artist.",
            "outputs": {"llm_text": open_text},
        }
        found = [
            (str(r["item"]), {"llm_text": r["llm_text"]}, {"name": r["name"], "tags": r["tags"]}, r["name"])
            for r in rows(data / f"{folder}.jsonl.gz")
        ]
    else:
        open_text["grounding"] = "none"
        task = {"for": "item", "inputs": ["id"], "write": "Write the option.", "outputs": {"answer": open_text}}
        found = [
            (r["qid"], {"answer": r["options"][r["answer"]]}, {"id": ""}, "")
            for r in rows(data / folder / "queries.jsonl.gz")
        ]
    judge = Judge(folder, Task.model_validate(task), {})
    return judge, [
        Candidate(key, folder, key, json.dumps(output, ensure_ascii=False), None, record, name)
        for key, output, record, name in found
    ]


def main(data: Path) -> None:
    listed = defaultdict(list)
    with open(data / "defects.jsonl", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            listed[row["folder"]].append(row)
    for folder in ("once_goodreads/llm_descriptions", "colakg_lastfm/llm_items", "recipe_mpr"):
        judge, found = candidates(data, folder)
        start = time.process_time()
        findings = {c.key: judge.check(c) for c in found}
        middle = time.process_time()
        batch = judge.check_batch(found, findings)
        end = time.process_time()
        first, whole = defaultdict(Counter), defaultdict(Counter)
        for row in listed[folder]:
            for rejected, table in (
                (findings[row["id"]], first),
                (findings[row["id"]] + batch.get(row["id"], []), whole),
            ):
                failed = [f.gate for f in rejected if not f.passed]
                table[row["expect"], row["kind"]]["rejected" if failed else "accepted"] += 1
                table[row["expect"], row["kind"]].update(f"  {gate}" for gate in failed[:1])
        print(
            f"\n{folder}: {len(found)} texts, per record {len(found) / (middle - start):,.0f}/s, "
            f"batch {end - middle:.1f} s"
        )
        for title, table in (("per record", first), ("with batch", whole)):
            for (expect, kind), counts in sorted(table.items()):
                n = counts["rejected"] + counts["accepted"]
                gates = ", ".join(f"{k.strip()} {v}" for k, v in counts.items() if k.startswith(" "))
                print(f"  {title:10}  expect {expect:6}  {kind:18} n {n:4}  rejected {counts['rejected']:4}  {gates}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)

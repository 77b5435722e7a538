"""Published LM texts, by task, as the gates see them: for evals/checks.py. Read from ../shared/data, never copied."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from tokenrec.gates.base import Candidate
from tokenrec.gates.judge import Judge
from tokenrec.recipe.tasks import Task

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def judged() -> Iterator[tuple[str, Judge, list[Candidate]]]:
    """(name, judge, candidates) of each set. Keys are ids of the set."""
    rows = _lines("once_goodreads/llm_descriptions.jsonl.gz")
    yield _set("books", ((r["bid"], r["title"], {"title": r["title"]}, r["description"]) for r in rows))
    rows = _lines("colakg_lastfm/llm_items.jsonl.gz")
    yield _set("artists", ((r["item"], r["name"], {"name": r["name"], "tags": r["tags"]}, r["llm_text"]) for r in rows))
    yield _set("listeners", ((r["user"], "", {}, r["llm_text"]) for r in _lines("colakg_lastfm/llm_users.jsonl.gz")))
    rows = [(r["gen_id"], json.loads(r["raw_response"])) for r in _lines("once_goodreads/llm_synthetic_books.jsonl.gz")]
    yield _set("invented books", ((key, said["title"], {}, said["description"]) for key, said in rows))
    rows = _lines("recipe_mpr/queries.jsonl.gz")
    yield _set("right options", ((r["qid"], "", {}, r["options"][r["answer"]]) for r in rows))
    found = _lines("quintd/responses.jsonl.gz")
    facts = ({f"fact {i}": fact for i, fact in enumerate(r["facts"])} for r in found)
    yield _set("reports", ((r["id"], "", fact, r["text"]) for r, fact in zip(found, facts, strict=True)))
    rows = [(r["fid"], r["prompt"], r["resp"]["choices"][0]) for r in _lines("llm_crs_replay/responses.jsonl.gz")]
    yield _set("film advice", ((key, "", {"talk": prompt}, c["message"]["content"], c["finish_reason"])
                               for key, prompt, c in rows))  # fmt: skip


def _set(name: str, rows) -> tuple[str, Judge, list[Candidate]]:
    task = Task.model_validate({"for": "item", "inputs": ["record"], "write": "",
                                "outputs": {"text": {"type": "text", "grounding": "none"}}})  # fmt: skip
    made = []
    for key, called, record, text, *reason in rows:
        raw = json.dumps({"text": text})
        made.append(Candidate(str(key), name, str(key), raw, None, record, called, *reason))
    return name, Judge(name, task), made


def _lines(path: str) -> list[dict]:
    with gzip.open(DATA / path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]

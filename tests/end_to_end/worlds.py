"""Small projects for end-to-end tests: real dishes, made-up diners, and answers recorded or served."""

import contextlib
import io
import json
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TASTES = ["sweet", "spicy", "sour", "savory", "rich", "fresh"]

RECIPE = """\
name: small
data:
  items: {path: data/dishes.jsonl, id: dish_id, name: name, text: [name, ingredients], facts: [cuisine, minutes]}
  events: {path: data/events.csv, user: user_id, item: dish_id, time: at, value: rating, positive: ">= 4"}
  simulated: true
lm: {writer: WRITER}
tasks:
  flavour:
    for: item
    inputs: [name, ingredients]
    write: Say how it tastes.
    outputs: {taste: {type: tags, choices: [sweet, spicy, sour, savory, rich, fresh], max: 3}}
  menu_line:
    for: item
    inputs: [name, ingredients, $flavour.taste]
    write: A menu line.
    outputs: {line: {type: text, max_words: 25, grounding: closed}}
  palate:
    for: user
    history: {most: 6, min: 2, show: [name, $flavour.taste]}
    write: Say what the diner likes.
    outputs: {likes: {type: tags, choices: $flavour.taste.choices, max: 3}}
    subjects: {most: 10}
ranker: {seeds: 1, negatives: 10}
compile: {optimizer: none}
"""


def dishes(n: int = 24) -> list[dict]:
    lines = (ROOT / "recipes/kitchen/dishes.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:n]]


def meals(items: list[dict], users: int = 80, each: int = 10, seed: int = 1) -> list[tuple]:
    """(user, dish, day, rating) in order of days."""
    draw = random.Random(seed)
    rows = []
    for u in range(users):
        for dish in draw.sample(items, min(each, len(items))):
            rows.append((draw.randint(1, 300), f"u{u:03}", dish["dish_id"], draw.choice([3, 4, 5, 5])))
    return [(u, d, t, v) for t, u, d, v in sorted(rows)]


def answers(items: list[dict], users: int = 80, seed: int = 1) -> list[dict]:
    """A recording: a sound answer about every dish and diner."""
    draw = random.Random(seed)
    rows = []
    for dish in items:
        rows.append({"task": "flavour", "subject": dish["dish_id"], "output": {"taste": draw.sample(TASTES, 2)}})
        line = menu_line(dish["ingredients"])
        rows.append({"task": "menu_line", "subject": dish["dish_id"], "output": {"line": line}})
    for u in range(users):
        rows.append({"task": "palate", "subject": f"u{u:03}", "output": {"likes": draw.sample(TASTES, 2)}})
    return rows


def menu_line(ingredients: list[str]) -> str:
    first, *rest = [str(i) for i in ingredients[:3]]
    return " with ".join([first.capitalize(), " and ".join(rest)] if rest else [first.capitalize()]) + "."


def project(
    root: Path, *, items: list[dict] | None = None, events: list[tuple] | None = None,
    recorded: list[dict] | None = None, recipe: str = RECIPE, writer: str = "tape",
    models: str = "{kind: replay, path: tape.jsonl}", more: str = "",
) -> Path:  # fmt: skip
    """Write a project into `root`; the path of its recipe."""
    items = dishes() if items is None else items
    events = meals(items) if events is None else events
    recorded = answers(items) if recorded is None else recorded
    write(root / "data/dishes.jsonl", "".join(json.dumps(i, ensure_ascii=False) + "\n" for i in items))
    rows = "".join(",".join(map(str, e)) + "\n" for e in events)
    write(root / "data/events.csv", "user_id,dish_id,at,rating\n" + rows)
    write(root / "tape.jsonl", "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in recorded))
    write(root / "tokenrec.yaml", f"models:\n  {writer}: {models}\n{more}")
    write(root / "recipe.yaml", recipe.replace("WRITER", writer))
    return root / "recipe.yaml"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def tokenrec(*args: str) -> tuple[int, dict, str]:
    """(exit code, JSON document, stderr) of a command, run in this process."""
    from tokenrec.cli.main import run

    out, err = io.StringIO(), io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run([*map(str, args), "--json"])
    finally:
        logging.disable(logging.NOTSET)
    return code, json.loads(out.getvalue()), err.getvalue()


def child(*args: str, **env: str) -> subprocess.Popen:
    """The command in a process of its own, for tests that stop or kill it."""
    return subprocess.Popen(
        [sys.executable, "-m", "tokenrec", *map(str, args), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # a background job's children ignore Ctrl-C unless told otherwise
        preexec_fn=(lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) if os.name == "posix" else None,
        text=True, encoding="utf-8", env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **env},
    )  # fmt: skip


def store(root: Path) -> sqlite3.Connection:
    db = sqlite3.connect(root / ".tokenrec/store.db")
    db.row_factory = sqlite3.Row
    return db


def sound(db: sqlite3.Connection) -> bool:
    whole = db.execute("pragma integrity_check").fetchone()[0] == "ok"
    return whole and not db.execute("pragma foreign_key_check").fetchall()


@dataclass(frozen=True)
class Finished:
    """A project that was compiled twice, and what the store held after the first time."""

    root: Path
    recipe: Path
    first: dict
    second: dict
    before: dict[str, list[tuple]]


def lend_vectors(source: Path, root: Path) -> None:
    """Give a new project the encoder vectors of another: its processes then start without the encoder."""
    from tokenrec.store.store import open_store

    db = open_store(root / ".tokenrec/store.db")
    db.execute("attach ? as other", [str(source / ".tokenrec/store.db")])
    db.execute("insert or ignore into vectors select * from other.vectors")
    db.execute("detach other")
    db.conn.close()


TIMELESS = {  # table: columns that say what was made, without run ids and clock times
    "programs": "program_id, recipe, task, lm_id, instructions, state",
    "subjects": "recipe, task, subject, kind, program_id, lm_id, input_hash, name, newest_event_time",
    "current": "*",
    "completions": "completion_id, program_id, lm_id, input_hash, sample, task, inputs, raw, first_raw, finish_reason,"
    " findings, checked, probabilities,"
                   " output, state, gate_id, prompt_tokens, completion_tokens, calls, cost_usd",
    "verdicts": "*",
    "vectors": "*",
    "windows": "*",
    "lists": "list, window, user",
    "metrics": "arm, slice, list, metric, value",
    "evidence": "kind, name, document",
    "tokens": "recipe, task, subject, kind, completion_id, output, probabilities, newest_event_time",
}  # fmt: skip


def contents(root: Path) -> dict[str, list[tuple]]:
    """Every table of the store as sorted rows, for comparing what two ways of running have made."""
    db = store(root)
    return {t: sorted((tuple(r) for r in db.execute(f"select {c} from {t}")), key=repr) for t, c in TIMELESS.items()}

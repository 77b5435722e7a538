"""How long a changed threshold takes over stored completions: no check and no judge runs, only what was scored counts.

    python evals/benchmarks/regate.py [--texts 100000] [--json]

A store is filled with texts of one to five sentences and scores as a detector leaves them (made up: what is timed is
the deciding). Then the threshold changes, twice: whole texts, and dropping sentences. Beside it, in the same run, what
SQLite needs to read the same rows and write one column of each: the ratio to that is what deciding costs.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tokenrec.gates.base import Finding  # noqa: E402
from tokenrec.gates.calibration import THIRDS, Calibration, Third  # noqa: E402
from tokenrec.gates.checks import SUSPICION  # noqa: E402
from tokenrec.gates.judge import Judge  # noqa: E402
from tokenrec.gates.text import places  # noqa: E402
from tokenrec.generate.judging import batch_of, gate_of, judge_all  # noqa: E402
from tokenrec.recipe.models import Recipe  # noqa: E402
from tokenrec.store import completions as store  # noqa: E402
from tokenrec.store.store import open_store, transaction  # noqa: E402
from tokenrec.store.verdicts import Judged, save_verdicts  # noqa: E402
from tokenrec.tasks.inputs import Prompt  # noqa: E402
from tokenrec.tasks.program import Answer  # noqa: E402
from tokenrec.tasks.spec import input_hash, task_spec  # noqa: E402

KEY = ("bench", "about", "program", "lm")


def spec_of(drop: bool):
    output = {"type": "text", "max_words": 90, "judge": "detector", "factuality": {"risk": 0.1}}
    output |= {"unsupported": "drop"} if drop else {}
    task = {"for": "item", "inputs": ["name", "parts"], "write": "Say it.", "outputs": {"about": output}}
    data = {"items": {"path": "i.jsonl", "id": "id", "text": ["name"]},
            "events": {"path": "e.csv", "user": "u", "item": "id"}}  # fmt: skip
    return task_spec(Recipe.model_validate({"name": "bench", "data": data, "tasks": {"about": task}}), "about")


def judge_at(spec, threshold: float) -> Judge:
    thirds = (Third(threshold=threshold),) * THIRDS
    return Judge("about", spec.task, {}, calibrations={"about": Calibration("about", thirds, "", True, 0.1, 0.9)})


def fill(db, spec, texts: int) -> None:
    """Answers with findings as `judge_all` stores them."""
    rng = random.Random(0)
    store.save_program(db, "bench", "about", "program", "lm", "", {})
    prompts, rows, verdicts = [], [], []
    for i in range(texts):
        inputs = {"name": f"Thing {i}", "parts": [f"part {i % 97}", f"part {i % 89}"]}
        text = " ".join(f"It has part {rng.randrange(99)} and part {rng.randrange(99)}." for _ in range(1 + i % 5))
        prompts.append(Prompt(f"s{i}", inputs["name"], inputs, input_hash(inputs)))
        key, output = store.Key("program", "lm", prompts[-1].hash, 0), {"about": text}
        rows.append((key, inputs, Answer(json.dumps(output))))
        parts = tuple((a, b, round(rng.betavariate(1, 3), 4)) for a, b in places(text))
        found = [Finding("noise/echo", True, 0.0, field="about"), Finding("noise/copy", True, 0.0, field="about"),
                 Finding(SUSPICION, True, max(p for *_, p in parts), "", "", "about", parts)]  # fmt: skip
        verdicts.append(Judged(key.id, "accepted", output, found, "check", found))
    store.save_subjects(db, "bench", "about", "item", "program", "lm", prompts)
    store.insert_answers(db, "about", None, rows)
    gate_id = gate_of(batch_of(db, *KEY), {}, judge_at(spec, 0.9))
    save_verdicts(db, gate_id, verdicts)


def floor(db) -> float:
    """Seconds to read the rows and write a column of each."""
    started = time.perf_counter()
    for row in store.completions_of(db, *KEY):
        db.execute("select * from verdicts where completion_id = ?", [row.key.id]).fetchall()
    with transaction(db) as sql:
        sql.execute("update completions set run = 'x'")
    return time.perf_counter() - started


def timed(db, drop: bool, threshold: float) -> tuple[float, int]:
    """(seconds, texts with another state or fewer sentences) for one change of the threshold."""
    spec = spec_of(drop)
    started = time.perf_counter()
    judge_all(db, "bench", spec, {}, judge_at(spec, threshold), "program", "lm")
    seconds = time.perf_counter() - started
    changed = "select count(*) from completions where state <> 'accepted' or kept is not null"
    return seconds, db.execute(changed).fetchone()[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for drop in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            db = open_store(Path(folder) / "s.db")
            fill(db, spec_of(drop), options.texts)
            least = floor(db)
            seconds, changed = timed(db, drop, 0.5)
            rows.append({"drop": drop, "texts": options.texts, "seconds": seconds, "floor_seconds": least,
                         "ratio": seconds / least, "changed": changed})  # fmt: skip
            db.conn.close()
    if options.json:
        print(json.dumps({"kind": "regate", "schema_version": 1, "rows": rows}))
        return
    for r in rows:
        what = "dropping sentences" if r["drop"] else "whole texts"
        print(f"{what}: {r['texts']:,} texts decided anew in {r['seconds']:.1f} s ({r['changed']:,} changed), "
              f"{r['ratio']:.1f} times reading and writing the same rows")  # fmt: skip


if __name__ == "__main__":
    main()

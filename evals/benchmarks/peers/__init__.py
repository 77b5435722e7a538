"""Peers of tokenrec on the work of generation.py: one file each, run by the peer's own Python (see run.py).

Here is what these files share: the prompt, in DSPy's layout and of its size, for peers that leave it to their user; and
`measure`. Standard library only, since every peer's environment imports it.
"""

import json
import re
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path

EXAMPLE = {"name": "Borscht", "ingredients": ["beetroot", "cabbage", "sour cream"]}
EXAMPLE_LINE = "Beetroot with cabbage and sour cream."
SYSTEM = """\
Your input fields are:
1. `name` (Any):
2. `ingredients` (Any):
3. `method` (Any):
Your output fields are:
1. `line` (str): line (at most 25 words; only what the inputs say)
All interactions will be structured in the following way, with the appropriate values filled in.

Inputs will have the following structure:

%s

Outputs will be a JSON object with the following fields.

{"line": "(line)"}

In adhering to this structure, your objective is:
        %s

This is an example of the task, though some input or output fields are not supplied.

%s

%s"""


def user(**fields: str) -> str:
    """A record as DSPy writes it; the server reads its ingredients there."""
    return "\n\n".join(f"[[ ## {field} ## ]]\n{value}" for field, value in fields.items())


def system(instruction: str) -> str:
    form = user(name="(name)", ingredients="(ingredients)", method="(method)")
    example = user(name=EXAMPLE["name"], ingredients=json.dumps(EXAMPLE["ingredients"]))
    return SYSTEM % (form, instruction, example, json.dumps({"line": EXAMPLE_LINE}))


def chat(record: dict) -> list[dict]:
    """The messages of a record."""
    fields = {"name": record["name"], "ingredients": json.dumps(record["ingredients"]), "method": record["method"]}
    asked = user(**fields) + "\n\nRespond with a JSON object in the following order of fields: `line`."
    return [{"role": "system", "content": system(record["instruction"])}, {"role": "user", "content": asked}]


def cpu_s() -> float:
    """Processor seconds of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def peak_mb() -> float:
    """Of the largest process. VmHWM, since this process's ru_maxrss begins with its parent's memory."""
    own = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def measure(package: str, prepare) -> None:
    """Prints the figures of `prepare(records, url, concurrency)`, which makes the function that does the work.

    That function gives {id: line}, or (that, when its first record began) where starting is a part of its call. Only
    it and the writing of what it gave are timed. An answer counts when it is about its own record.
    """
    source, target, url, concurrency = sys.argv[1:]
    records = [json.loads(line) for line in Path(source).read_text(encoding="utf-8").splitlines()]
    work = prepare(records, url, int(concurrency))
    began, cpu = time.perf_counter(), cpu_s()
    lines = work()
    if isinstance(lines, tuple):
        lines, began = lines
    with open(target, "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"id": i, "line": line}, ensure_ascii=False) + "\n" for i, line in lines.items())
    wall, cpu = time.perf_counter() - began, cpu_s() - cpu
    figures = {
        "records_per_s": len(records) / wall, "cpu_ms_per_record": 1000 * cpu / len(records), "peak_rss_mb": peak_mb(),
        "answered": sum((lines.get(r["id"]) or "").startswith(r["ingredients"][0]) for r in records),
        "version": version(package),
    }  # fmt: skip
    print(json.dumps(figures))

"""Records a second from prompt to stored verdict, beside a bare asyncio + aiohttp client on the same work.

    python evals/benchmarks/generation.py --records 5000 --concurrency 64 --latency-ms 50 [--mode fixed] [--json]
        [--peers dspy,curator,data-designer,distilabel [--peer-envs DIR]]

One local server (server.py) answers both. tokenrec does all that a run does: renders, sends, reads types, judges by
every gate, stores, counts cost, shows progress. The bare client posts the same bodies and reads the JSON.
Modes: fixed, bursts, errors, stalls, truncated, malformed (the bare client runs in fixed mode only).
--peers: other libraries on the same records and server, each in its own virtual environment, installed on demand with
pip from the default index and kept in --peer-envs (peers/); their `ratio` is to the bare client, too.
"""

import argparse
import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

from peers import run as peers

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

RECIPE = """\
name: bench
data:
  items: {path: dishes.jsonl, id: dish_id, name: name, text: [name, ingredients]}
  events: {path: events.csv, user: user_id, item: dish_id, time: at}
lm: {writer: served}
tasks:
  menu_line:
    for: item
    inputs: [name, ingredients, method]
    write: Write one line for the menu that names what is in the dish and invents nothing.
    outputs: {line: {type: text, max_words: 25, grounding: closed}}
    examples:
      - {name: Borscht, ingredients: [beetroot, cabbage, sour cream], line: "Beetroot with cabbage and sour cream."}
"""


@contextmanager
def server(options):
    """The address of a server in a process of its own."""
    made = [sys.executable, str(ROOT / "evals/benchmarks/server.py"), "--mode", options.mode]
    made += ["--latency-ms", str(options.latency_ms), "--rate", str(options.rate), "--share", str(options.share)]
    process = subprocess.Popen(made, stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()


def project(folder: Path, url: str, options) -> Path:
    """A project of `records` dishes: the kitchen's methods under new names, each with ingredients of its own."""
    kitchen = [json.loads(line) for line in (ROOT / "recipes/kitchen/dishes.jsonl").open(encoding="utf-8")]
    pantry, draw = sorted({i for dish in kitchen for i in dish["ingredients"]}), random.Random(1)
    with (folder / "dishes.jsonl").open("w", encoding="utf-8") as file:
        for i in range(options.records):
            dish = dict(kitchen[i % len(kitchen)])
            number = f"{i // len(kitchen)}" if i >= len(kitchen) else ""
            dish |= {"dish_id": f"d{i:07}", "name": f"{dish['name']} {number}".strip()}
            dish["ingredients"] = draw.sample(pantry, 8)
            file.write(json.dumps(dish, ensure_ascii=False) + "\n")
    with (folder / "events.csv").open("w") as file:
        file.write("user_id,dish_id,at\n")
        for i in range(200):
            file.write(f"u{i % 20},d{i % options.records:07},{i}\n")
    (folder / "tokenrec.yaml").write_text(
        f"models:\n  served: {{kind: api, model: openai/small, api_base: '{url}/v1', timeout: {options.timeout}, "
        f"price: {{input: 0.1, output: 0.4}}}}\nconcurrency: {options.concurrency}\n"
    )
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder / "recipe.yaml"


def ours(recipe: Path) -> tuple[dict, Sequence[bytes]]:
    """(figures, the bodies that were sent) of one task's generation by tokenrec."""
    import sklearn.feature_extraction.text  # noqa: F401  imports belong to a process, not to its records
    from rich.console import Console

    from tokenrec.compiler.record import start_run
    from tokenrec.compiler.session import open_session
    from tokenrec.compiler.writing import generate_with
    from tokenrec.gates.build import make_judge
    from tokenrec.lm.wire import Wire
    from tokenrec.recipe.load import load_recipe
    from tokenrec.report.progress import Stages
    from tokenrec.spool import Spool
    from tokenrec.tasks.inputs import prompts, spooled
    from tokenrec.tasks.program import make_program
    from tokenrec.tasks.spec import task_spec

    sent, send = Spool((), bytes, bytes), Wire.send  # on disk: they are not part of the run

    async def noted(self, method, url, headers, body):
        sent.append(body)
        return await send(self, method, url, headers, body)

    session = open_session(load_recipe(recipe), "bench")
    start_run(session)
    spec = task_spec(session.recipe, "menu_line")
    program = make_program(spec, session.open_writer(), session.loaded.project.root)
    judge = make_judge(session.recipe, spec, session.dataset)
    asked = spooled(prompts(session.recipe, session.dataset, spec, {}))
    Wire.send = noted
    began, cpu = time.perf_counter(), time.process_time()
    with Stages(Console(stderr=True)).stage("write menu_line", len(asked)) as bar:
        report = generate_with(session, spec, program, judge, asked, bar.generation)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    Wire.send = send
    figures = {
        "records_per_s": len(asked) / wall, "cpu_ms_per_record": 1000 * cpu / len(asked), "accepted": report.accepted,
        "rejected": report.rejected, "malformed": report.malformed, "failed": report.failed,
        "calls": report.usage.calls, "cost_usd": report.usage.usd,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip
    return figures, sent


async def bare(url: str, bodies: Sequence[bytes], concurrency: int) -> float:
    """Records a second of the least that a client can do."""
    import aiohttp

    todo = iter(bodies)
    headers = {"Content-Type": "application/json"}

    async def worker(session):
        for body in todo:
            async with session.post(f"{url}/v1/chat/completions", data=body, headers=headers) as response:
                json.loads((await response.json())["choices"][0]["message"]["content"])

    began = time.perf_counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*[worker(session) for _ in range(concurrency)])
    return len(bodies) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--mode", default="fixed")
    parser.add_argument("--rate", type=float, default=200, help="answers a second that the server bears (bursts)")
    parser.add_argument("--share", type=float, default=0.05, help="share of requests that meet the fault")
    parser.add_argument("--timeout", type=float, default=60)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peers", type=peers.names, default=[], help=", ".join(peers.NEEDS))
    parser.add_argument("--peer-envs", type=Path, default=peers.ENVS, help="(default: %(default)s)")
    options = parser.parse_args()
    with server(options) as url, tempfile.TemporaryDirectory() as folder:
        recipe = project(Path(folder), url, options)
        figures, bodies = ours(recipe)
        seen = json.loads(urllib.request.urlopen(f"{url}/seen").read())
        other = asyncio.run(bare(url, bodies, options.concurrency)) if options.mode == "fixed" else None
        compared = peers.compare(options, url, recipe, other)
    ideal = options.rate if options.mode == "bursts" else options.concurrency / (options.latency_ms / 1000)
    document = {
        "mode": options.mode, "records": options.records, "concurrency": options.concurrency,
        "latency_ms": options.latency_ms, **figures, "bare_client_records_per_s": other,
        "ratio": other and figures["records_per_s"] / other, "ideal_records_per_s": ideal,
        "of_ideal": figures["records_per_s"] / ideal, "server": seen, "peers": compared,
    }  # fmt: skip
    if options.json:
        print(json.dumps(document))
        return
    for name, value in document.items():
        print(f"{name:<26} {value:.3f}" if isinstance(value, float) else f"{name:<26} {value}")


if __name__ == "__main__":
    main()

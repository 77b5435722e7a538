"""The embedded model: what the shared prefix's cache is worth, and what several sequences at a time would be.

    python evals/benchmarks/embedded.py --dishes 40 [--json]
    python evals/benchmarks/embedded.py --dishes 16 --task menu_line --sequences 2,4 --models 2x1,2x2 --repeats 5

The same dishes and fields (recipe_app's flavour) are asked as tokenrec does (the task's instruction and examples are
computed once and kept, the fields of one dish in order) and naively (every question from its first word), in one run.

With --sequences, llama.cpp also decodes so many dishes in one batch, each in its own slot, which keeps the shared
prefix; with --models, so many models of so many threads have one dish each. The ways take turns, so that a busy machine
is unfair to none for long, and every turn has other dishes. Wall time on a busy machine still flatters the way with
more threads: `cpu_s_per_record` with `--threads 1` is the work done (threads that wait for each other spin, and count).

Measured on two busy cores, flavour: batches of 2 to 8 cost .94 to 1.04 of the CPU of one at a time, and likelihoods
moved by up to .11, other ones each run (one at a time: by 0). Likely cause: rounding depends on a batch's size. So
tokenrec asks one at a time.

`other_*` counts what differs from one at a time; `from_itself` compares a way with itself, the same dishes asked again.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tokenrec.lm.llama import Llama, bundled_weights  # noqa: E402


class Batches(Llama):
    """Decodes `at_once` in one batch. A thread keeps its slot, so that a dish's second field finds its first there."""

    def __init__(self, path: str, context: int, threads: int | None, at_once: int):
        self.at_once, self.place = at_once, Place(at_once)
        super().__init__(path, context, threads)

    def _params(self, path: str, context: int, threads: int | None):
        params = super()._params(path, context * self.at_once, threads)
        params.n_parallel, params.kv_unified = self.at_once, True
        return params

    def _ask(self, handler: str, request: dict):
        return getattr(self.server, handler)(request | {"id_slot": self.place.mine()})  # it queues and lets the GIL go


class Models(Llama):
    """`at_once` models with one sequence each: the weights are mapped once, the caches are each one's own."""

    def __init__(self, path: str, context: int, threads: int, at_once: int):
        self.at_once, self.place = at_once, Place(at_once)
        self.models = [Llama(path, context, threads) for _ in range(at_once)]
        self.context = context

    def _ask(self, handler: str, request: dict):
        return self.models[self.place.mine()]._ask(handler, request)


class Place:
    """A number below `most` for each thread that asks, round and round."""

    def __init__(self, most: int):
        self.most, self.next, self.own = most, itertools.count(), threading.local()

    def mine(self) -> int:
        if not hasattr(self.own, "place"):
            self.own.place = next(self.next) % self.most
        return self.own.place


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dishes", type=int, default=40)
    parser.add_argument("--task", default="flavour")
    parser.add_argument("--sequences", default="", help="numbers of sequences in one batch, as 2,4,8")
    parser.add_argument("--models", default="", help="models by threads of each, as 2x1,2x2")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each way")
    parser.add_argument("--threads", type=int, help="the machine's cores unless said")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    from tokenrec.dataset.load import load_dataset
    from tokenrec.lm.writer import open_writer
    from tokenrec.recipe.load import load_recipe
    from tokenrec.tasks.inputs import prompts
    from tokenrec.tasks.program import ask, make_program
    from tokenrec.tasks.spec import task_spec

    loaded = load_recipe(ROOT / "recipes/recipe_app.yaml")
    dataset, spec = load_dataset(loaded.recipe, loaded.folder), task_spec(loaded.recipe, options.task)
    writer = open_writer(loaded.project, "embedded", asking=False)
    program = make_program(spec, writer, loaded.project.root)
    every = list(prompts(loaded.recipe, dataset, spec, {}))
    asked = every[: options.dishes]
    path = str(bundled_weights())
    llama = Llama(path, 4096, options.threads)

    def run(llama: Llama, dishes: list, at_once: int = 1) -> tuple[float, float, list]:
        """(seconds, CPU seconds, answers)."""
        writer.chooser.llama = writer.lm.engine.llama = llama
        said, jobs = [None] * len(dishes), iter(enumerate(dishes))

        async def worker() -> None:
            for i, prompt in jobs:
                said[i] = await ask(program, spec, writer, prompt.inputs)

        async def workers() -> None:
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(at_once))
            await asyncio.gather(*(worker() for _ in range(at_once)))

        began, cpu = time.perf_counter(), time.process_time()
        asyncio.run(workers())
        took = time.perf_counter() - began, time.process_time() - cpu
        if failed := [a.error for a in said if a.error]:
            sys.exit(failed[0])
        return *took, said

    run(llama, asked)  # the weights are paged in by now
    ours, _, first = run(llama, asked)
    call = llama._call
    llama._call = lambda handler, request: call(handler, request | {"cache_prompt": False})
    naive, _, second = run(llama, asked)
    llama._call = call
    document = {
        "records": len(asked), "records_per_s": len(asked) / ours, "naive_records_per_s": len(asked) / naive,
        "ratio": naive / ours, "largest_difference_of_a_probability": difference(first, second)["largest_difference"],
    }  # fmt: skip
    ways: dict[str, tuple[Llama, int]] = {"one": (llama, 1)}
    for n in map(int, filter(None, options.sequences.split(","))):
        if n > 1:
            ways[f"batch of {n}"] = Batches(path, 2048, options.threads, n), n
    for n, threads in (map(int, m.split("x")) for m in options.models.split(",") if m):
        ways[f"{n} models x {threads}"] = Models(path, 2048, threads, n), n
    if len(ways) > 1:
        document["at_once"] = turns(run, ways, every, len(asked), options.repeats, naive / len(asked))
    if options.json:
        print(json.dumps(document))
        return
    rows = document.pop("at_once", [])
    for name, value in document.items():
        print(f"{name:<38} {shown(value)}")
    for row in rows:
        print("  ".join(f"{name} {shown(value)}" for name, value in row.items()))


def turns(run, ways: dict[str, tuple[Llama, int]], every: list, n: int, repeats: int, naive: float) -> list[dict]:
    """Medians of each way, (model, dishes in flight), over `repeats` turns of `n` dishes; `naive`: seconds a dish."""
    took, cpu, apart = ({way: [] for way in ways} for _ in range(3))
    for llama, k in ways.values():  # the prefix is in every slot by now
        run(llama, every[-2 * k :], k)
    for turn in range(repeats):
        dishes = list(itertools.islice(itertools.cycle(every), turn * n, (turn + 1) * n))
        said = {}
        for way in list(ways)[:: -1 if turn % 2 else 1]:
            seconds, used, said[way] = run(ways[way][0], dishes, ways[way][1])
            took[way].append(seconds)
            cpu[way].append(used)
        for way in ways:
            apart[way].append(difference(said["one"], said[way]))
    rows = []
    for way, (llama, k) in ways.items():
        run(llama, every[-2 * k :], k)
        again = run(llama, dishes, k)[2]
        seconds = statistics.median(took[way])
        rows.append({
            "way": way, "records_per_s": n / seconds, "cpu_s_per_record": statistics.median(cpu[way]) / n,
            "to_one": statistics.median(a / b for a, b in zip(took["one"], took[way], strict=True)),
            "to_naive": naive * n / seconds,
            "largest_difference": max(d["largest_difference"] for d in apart[way]),
            "other_choices": sum(d["other_choices"] for d in apart[way]),
            "other_texts": sum(d["other_texts"] for d in apart[way]),
            "from_itself": difference(said[way], again),
        })  # fmt: skip
    return rows


def difference(ones: list, others: list) -> dict:
    """How far apart two runs' answers are: likelihoods, likeliest choices, and texts of what was generated."""
    scored = [
        (a.probabilities[o], b.probabilities[o])
        for a, b in zip(ones, others, strict=True) if a.probabilities for o in a.probabilities
    ]  # fmt: skip
    return {
        "largest_difference": max((abs(p[c] - q[c]) for p, q in scored for c in p), default=0.0),
        "other_choices": sum(max(p, key=p.get) != max(q, key=q.get) for p, q in scored),
        "other_texts": sum(a.raw != b.raw for a, b in zip(ones, others, strict=True) if not a.probabilities),
    }


def shown(value) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{k} {shown(v)}" for k, v in value.items()) + ")"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()

"""Scored choices with the embedded model: what the shared prefix's cache is worth, beside asking one at a time.

    python evals/benchmarks/embedded.py --dishes 40 [--json]

The same dishes and fields (recipe_app's flavour) are asked as tokenrec does (the task's instruction and examples are
computed once and kept, the fields of one dish in order) and naively (every question from its first word), in one run.
"""

import argparse
import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dishes", type=int, default=40)
    parser.add_argument("--task", default="flavour")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    import dspy

    from tokenrec.dataset.load import load_dataset
    from tokenrec.lm.writer import open_writer
    from tokenrec.recipe.load import load_recipe
    from tokenrec.tasks.inputs import prompts
    from tokenrec.tasks.program import make_program
    from tokenrec.tasks.spec import task_spec

    loaded = load_recipe(ROOT / "recipes/recipe_app.yaml")
    dataset, spec = load_dataset(loaded.recipe, loaded.folder), task_spec(loaded.recipe, options.task)
    writer = open_writer(loaded.project, "embedded")
    program = make_program(spec, writer, loaded.project.root)
    asked = list(prompts(loaded.recipe, dataset, spec, {}))[: options.dishes]
    llama, call = writer.chooser.llama, writer.chooser.llama._call

    def run() -> tuple[float, list]:
        began = time.perf_counter()
        with dspy.context(lm=writer.lm, adapter=writer.adapter):
            said = [program(**p.inputs) for p in asked]
        return time.perf_counter() - began, said

    run()  # the weights are paged in by now
    ours, first = run()
    llama._call = lambda handler, request: call(handler, request | {"cache_prompt": False})
    naive, second = run()
    llama._call = call
    worst = max(
        abs(a[o].probabilities[c] - b[o].probabilities[c])
        for a, b in zip(first, second, strict=True) for o, words in spec.choices.items() for c in words
    )  # fmt: skip
    document = {
        "records": len(asked), "records_per_s": len(asked) / ours, "naive_records_per_s": len(asked) / naive,
        "ratio": naive / ours, "largest_difference_of_a_probability": worst,
    }  # fmt: skip
    if options.json:
        print(json.dumps(document))
        return
    for name, value in document.items():
        print(f"{name:<38} {value:.3f}" if isinstance(value, float) else f"{name:<38} {value}")


if __name__ == "__main__":
    main()

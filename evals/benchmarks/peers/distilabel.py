"""distilabel: a pipeline of two steps, each a process; a batch is as many records as may be in flight."""

import json
import time
from pathlib import Path

import openai  # noqa: F401  else the step's process imports it within the time
from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import Task

from peers import chat, measure


class Records(LoadDataFromDicts):
    def process(self, offset=0):
        """As ever, and notes when the steps were up: the pipeline starts its processes when it is run."""
        Path("began").write_text(str(time.perf_counter()))
        yield from super().process(offset)


class Writer(Task):
    @property
    def inputs(self):
        return ["name", "ingredients", "method", "instruction"]

    @property
    def outputs(self):
        return ["line", "model_name"]

    def format_input(self, input):
        return chat(input)

    def format_output(self, output, input=None):
        return {"line": json.loads(output)["line"]}


def prepare(records, url, concurrency):
    with Pipeline(name="bench", cache_dir="distilabel") as pipeline:
        lm = OpenAILLM(model="small", base_url=url, api_key="none", generation_kwargs={"temperature": 0.0})
        Records(data=records, batch_size=concurrency) >> Writer(llm=lm, input_batch_size=concurrency)

    def work():
        rows = pipeline.run(use_cache=False)["default"]["train"]
        return {row["id"]: row["line"] for row in rows}, float(Path("began").read_text())

    return work


if __name__ == "__main__":
    measure("distilabel", prepare)

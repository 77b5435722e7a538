"""Plain DSPy: one Predict, asked for `concurrency` records at a time by asyncio."""

import asyncio

import dspy

from peers import EXAMPLE, EXAMPLE_LINE, measure


def prepare(records, url, concurrency):
    lm = dspy.LM("openai/small", api_base=url, api_key="none", cache=False, temperature=0.0)
    dspy.configure(lm=lm, adapter=dspy.JSONAdapter(), track_usage=False)
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    signature = dspy.Signature("name, ingredients: list[str], method -> line: str", records[0]["instruction"])
    predict = dspy.Predict(signature)
    predict.demos = [dspy.Example(**EXAMPLE, line=EXAMPLE_LINE)]

    async def ask():
        todo, lines = iter(records), {}

        async def worker():
            for record in todo:
                fields = {name: record[name] for name in signature.input_fields}
                lines[record["id"]] = (await predict.acall(**fields)).line

        await asyncio.gather(*[worker() for _ in range(concurrency)])
        return lines

    return lambda: asyncio.run(ask())


if __name__ == "__main__":
    measure("dspy", prepare)

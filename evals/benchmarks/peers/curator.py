"""Curator: one LLM, its limits a minute out of the way.

Its `response_format` is not used: it first asks for a schema of its own, which the bench's server does not know.
"""

import json
import os
from pathlib import Path

import litellm

# Its count of LM tokens needs a vocabulary, which is fetched unless it is found where litellm brings it.
os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(litellm.__file__).parent / "litellm_core_utils/tokenizers")

from bespokelabs import curator

from peers import chat, measure


class Writer(curator.LLM):
    def prompt(self, row):
        return chat(row)

    def parse(self, row, response):
        return {"id": row["id"], "line": json.loads(response)["line"]}


def prepare(records, url, concurrency):
    limits = {"max_concurrent_requests": concurrency, "max_requests_per_minute": 10**6}
    limits |= {"max_tokens_per_minute": 10**10, "base_url": url}
    writer = Writer("small", backend="openai", generation_params={"temperature": 0.0}, backend_params=limits)
    return lambda: {row["id"]: row["line"] for row in writer(records, working_dir="curator").dataset}


if __name__ == "__main__":
    measure("bespokelabs-curator", prepare)

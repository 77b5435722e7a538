"""Real defects, seen in published LM texts: caught, without false alarms (needs the shared data)."""

import json
from collections import Counter

import pytest

from evals.benchmarks.defects import DATA, candidates

LIST = DATA / "defects.jsonl"


@pytest.mark.skipif(not LIST.exists(), reason="../shared/data is not there")
@pytest.mark.parametrize("folder", ["once_goodreads/llm_descriptions", "colakg_lastfm/llm_items", "recipe_mpr"])
def test_real_defects(folder):
    with open(LIST, encoding="utf-8") as lines:
        listed = {row["id"]: row["expect"] for row in map(json.loads, lines) if row["folder"] == folder}
    judge, found = candidates(DATA, folder)
    said = Counter()
    for c in found:
        if c.key in listed:
            said[listed[c.key], judge.verdict(c.key, judge.check(c)).state] += 1
    wrong, right = said["accept", "rejected"], said["accept", "accepted"]
    missed, caught = said["reject", "accepted"], said["reject", "rejected"]
    assert wrong <= 0.02 * (wrong + right) and missed <= 0.05 * (missed + caught), said

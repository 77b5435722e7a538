"""Real defects, seen in published LM texts: caught, without false alarms (needs the shared data)."""

import json
from pathlib import Path

import pytest

from tokenrec.cli.main import run

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not (ROOT.parent / "shared/data/defects.jsonl").exists(), reason="../shared/data is not there")
def test_real_defects(capsys):
    assert run(["eval", str(ROOT / "evals/defects.yaml"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["cases"] > 1000 and document["caught"] >= 0.95 and document["false_alarms"] <= 0.02

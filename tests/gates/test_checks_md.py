"""CHECKS.md: an entry for every registered validator, and every example of it holds."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "tokenrec/gates/CHECKS.md").read_text(encoding="utf-8")
ENTRIES = dict(re.findall(r"^### (\S+)\n(?:(?!^###).*\n)*?```json\n(.+)\n```", DOCS, re.MULTILINE))

RUN = """
import json, sys
from tokenrec.gates.checks import Rules
from tokenrec.gates.factuality.catalogue import Terms, catalogue_terms
from tokenrec.gates.noise.catalogue import Titles
from tokenrec.gates.registry import VALIDATORS
from tokenrec.recipe.outputs import Lexicon

entries = {gate: json.loads(example) for gate, example in json.load(sys.stdin).items()}
print("missing", sorted(set(VALIDATORS) ^ set(entries)))
for gate, e in entries.items():
    if "refused" in e:
        texts, records = [e.get("template", "").format(f) for f in e.get("fill", [])] + e.get("others", []) + e.get("texts", []), None
        if "field" in e:
            records = [{e["field"]: f} for f in e["fill"]] + [{e["field"]: "hats"} for _ in e["others"]]
        result = VALIDATORS[gate]().validate(texts, {"records": records} if records else {})
        if (result.metadata or {}).get("failed", []) != e["refused"]:
            print("wrong", gate, result)
        continue
    rules = dict(e.get("rules", {}))
    if "lexicon" in rules:
        rules["lexicon"] = Lexicon.model_validate(rules["lexicon"])
    terms = catalogue_terms(e["catalogue"]) if "catalogue" in e else Terms(titles=Titles(e.get("titles", [])))
    made = VALIDATORS[gate](e["choices"], most=e["most"]) if "choices" in e else VALIDATORS[gate](Rules(terms=terms, **rules))
    for key, wanted in (("refuses", "fail"), ("passes", "pass")):
        if key in e:
            result = made.validate(e[key], {"record": e.get("record", {}), "name": e.get("name", "")})
            if result.outcome != wanted or (wanted == "fail" and result.metadata["gate"] != gate):
                print("wrong", gate, key, result)
"""


def test_every_validator_has_an_entry_and_its_examples_hold():
    done = subprocess.run([sys.executable, "-c", RUN], input=json.dumps(ENTRIES), capture_output=True, text=True,
                          cwd=ROOT, timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "missing []\n"

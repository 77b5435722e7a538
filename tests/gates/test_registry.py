"""Guardrails: the same checks as registered validators, one ordinary Guard a task, and no word to anyone."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

AGREE = """
import json, socket, threading

def refuse(*args, **kwargs):
    raise SystemExit("a socket was opened")

for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refuse)
socket.create_connection = socket.getaddrinfo = refuse

import guardrails
from guardrails import Guard
from tokenrec.gates.base import Candidate
from tokenrec.gates.judge import Judge
from tokenrec.gates.registry import VALIDATORS, failures, guard_for
from tokenrec.recipe.tasks import Task

task = Task.model_validate({"for": "item", "inputs": ["name"], "write": "Tempt the diner in one line.", "outputs": {
    "line": {"type": "text", "max_words": 12}, "taste": {"type": "tags", "choices": ["hot", "sour"], "max": 1},
    "heat": {"type": "number", "min": 0, "max": 5}, "moods": {"type": "tags", "words_each": 1, "max": 3}}})
judge = Judge("line", task)
guard = guard_for(judge)
record, name = {"name": "Mapo Tofu", "method": "Fry for 5 minutes."}, "Mapo Tofu"
lines = ["Silky tofu in a numbing bean sauce", "I'm sorry, but I cannot write this.",
    "Silky tofu **now**", "hot hot hot hot hot hot",
    "Mapo Tofu is a dish", "Silky tofu in 20 minutes flat", "Silky tofu in a",
    "Silky tofu straight from Chengdu, they say",
    "one two three four five six seven eight nine ten eleven twelve thirteen", "这道菜又麻又辣，非常下饭"]
good = {"line": lines[0], "taste": ["hot"], "heat": 2, "moods": ["cosy"]}
cases = [json.dumps({**good, "line": l}) for l in lines]
cases += [json.dumps({**good, "taste": t}) for t in (["salty"], ["hot", "sour"], [])]
moods = (["cosy", "coming of age"], [""], ["cosy", "Cosy"], ["a1", "b1", "c1", "d1"], [], ["**cosy**"], ["Sorry"], ["cosy", "warm"])
cases += [json.dumps({**good, "moods": m}) for m in moods]
cases += [json.dumps({**good, "heat": 9}), "no JSON", json.dumps({"line": lines[0]})]
for raw in cases:
    mine = [f for f in judge.check(Candidate("k", "line", "s", raw, None, record, name)) if not f.passed]
    theirs = guard.parse(raw, metadata={"record": record, "name": name}, num_reasks=0)
    assert theirs.validation_passed == (not mine), (raw, mine, theirs)
    if mine and mine[0].gate != "schema":
        wanted = VALIDATORS[mine[0].gate].__name__
        assert wanted in failures(theirs, guard), (raw, mine, failures(theirs, guard))
alone = Guard().use(VALIDATORS["noise/refusal"](on_fail="noop"))
assert alone.validate("Silky tofu").validation_passed
assert not alone.validate("As an AI, I cannot taste.").validation_passed
assert not any("Batch" in t.name or "otel" in t.name.lower() for t in threading.enumerate()), threading.enumerate()
print("agreed on", len(cases))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")  # no rc file: Guardrails would report home by default
    env = {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "PYTHONPATH": str(ROOT),
        "PATH": "",
        "SYSTEMROOT": "C:\\\\Windows",
    }
    return subprocess.run(
        [sys.executable, "-c", AGREE], check=False, capture_output=True, text=True, env=env, cwd=ROOT, timeout=120
    ), home


def test_guard_and_judge_agree_and_no_socket_is_opened(run):
    done, _ = run
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-500:]
    assert "agreed on 24" in done.stdout


def test_the_users_home_is_left_alone(run):
    assert list(run[1].iterdir()) == []


def test_judging_does_not_import_guardrails():
    code = (
        "import sys, tokenrec.gates.judge; sys.exit(any(m in sys.modules for m in ('guardrails', 'sklearn', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT, timeout=60).returncode == 0

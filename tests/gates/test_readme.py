"""The README's Python runs as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"```python\n(.+?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_three_lines_gate_a_list_of_strings():
    (block,) = (b for b in BLOCKS if "check_texts" in b)
    assert len(block.splitlines()) == 3
    first, second, third = run(block).splitlines()
    assert first == "accepted"
    assert second.startswith("rejected noise/refusal, ") and third.startswith("rejected noise/language, reads as de")


def test_the_same_validators_work_in_a_plain_guard():
    (block,) = (b for b in BLOCKS if "Guard()" in b)
    assert len(block.splitlines()) == 5 and run(block) == "True False\n"


def test_importing_the_gates_is_light():
    heavy = ("guardrails", "numpy", "pydantic", "rapidfuzz", "sklearn", "torch", "py3langid")
    assert run(f"import sys, tokenrec.gates; print([m for m in {heavy} if m in sys.modules])") == "[]\n"


def test_texts_with_records_names_and_a_catalogue():
    code = """
from tokenrec.errors import InputError
from tokenrec.gates import check_texts
dish = {"name": "Mapo Tofu", "minutes": 30, "ingredients": ["tofu"]}
print([v.state for v in check_texts(["Tofu in half an hour.", "Tofu in 20 minutes flat."], [dish, dish])])
print([v.state for v in check_texts(["emma!", "Watchmen", ""], catalogue=["Emma (Penguin)"])])
print([v.state for v in check_texts(["又麻又辣的豆腐，非常下饭。", "A dish of tofu and beef for you."], language="zh")])
try:
    check_texts(["a", "b"], [dish])
except InputError as error:
    print(error)
"""
    assert run(code).splitlines() == [
        "['accepted', 'rejected']",
        "['accepted', 'rejected', 'rejected']",
        "['accepted', 'rejected']",
        "2 texts, but 1 records. Give one for each text, in the same order",
    ]

"""The house's manners: every command and option says what it does, help imports nothing heavy, ruff agrees."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tokenrec.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[1]
HEAVY = ("dspy", "guardrails", "litellm", "numpy", "pyarrow", "pydantic", "rich", "scipy", "sentence_transformers",
         "sklearn", "sqlite_utils", "torch", "xgboost", "xllamacpp", "yaml")  # fmt: skip


def commands(command=cli, path="tokenrec"):
    """(path, command) of everything that can be typed."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), f"{path} {name}")


@pytest.mark.parametrize(("path", "command"), list(commands()), ids=[p for p, _ in commands()])
def test_every_command_and_option_has_help(path, command):
    assert command.help and command.help.strip(), path
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{path} {option.opts[0]}"
        else:
            assert option.human_readable_name.isupper(), f"{path}: an argument is named in capitals"


def test_the_list_of_commands_says_what_each_does():
    assert all(text.endswith(".") and len(text) < 90 for _, text in COMMANDS.values())


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["compile", "--help"], ["eval", "--help"]])
def test_help_imports_nothing_heavy(args):
    code = f"import sys; from tokenrec.cli.main import run; run({args!r}); print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_ruff_agrees():
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("ruff is not installed")
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", "."],
                          capture_output=True, text=True, cwd=ROOT, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout

"""Manners of the command line: help at once, one JSON document, exit codes, no tracebacks."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from tokenrec import __version__
from tokenrec.cli import main as cli_main
from tokenrec.cli.main import COMMANDS, cli, run
from tokenrec.cli.output import Out, common_options
from tokenrec.errors import BudgetStop, InputError, ServiceError

ROOT = Path(__file__).parents[2]


def shell(*args, cwd=None, **env):
    return subprocess.run([sys.executable, "-m", "tokenrec", *args], capture_output=True, text=True, cwd=cwd,
                          env={**os.environ, "PYTHONPATH": str(ROOT), **env}, timeout=60, check=False)


@pytest.fixture
def raising(monkeypatch):
    """A command `boom` that raises or returns what the test says."""
    def put(what):
        @click.command()
        @common_options
        def boom(out: Out):
            """Raise or return."""
            if isinstance(what, BaseException):
                raise what
            out.emit({"kind": "boom", "value": float("nan")})
            out.print("done")
            return what

        monkeypatch.setattr(cli_main, "boom", boom, raising=False)
        monkeypatch.setitem(COMMANDS, "boom", ("tokenrec.cli.main:boom", "Raise."))

    return put


def test_help_is_quick_and_imports_nothing_heavy():
    code = ("import sys; from tokenrec.cli.main import run; run(['--help']); "
            "print([m for m in ('pydantic', 'yaml', 'numpy', 'rich', 'dspy', 'tokenrec.cli.recipe') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.endswith("[]\n") and all(name in done.stdout for name in COMMANDS)
    best = min(_seconds("--help") for _ in range(3))
    assert best < 0.3, f"tokenrec --help took {best:.2f} s"


def _seconds(*args):
    start = time.perf_counter()
    assert shell(*args).returncode == 0
    return time.perf_counter() - start


def test_every_command_that_exists_has_help():
    for name, (module, _) in COMMANDS.items():
        file = ROOT / (module.split(":")[0].replace(".", "/") + ".py")
        if file.exists():
            command = cli.get_command(None, name)
            found = [command, *getattr(command, "commands", {}).values()]
            assert all(c.help for c in found), name
            assert all(p.help for c in found for p in c.params if isinstance(p, click.Option)), name


def test_version(capsys):
    assert run(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize(("what", "code", "words"), [
    (InputError("x.yaml:3: a: wrong. mend"), 2, "error: x.yaml:3: a: wrong. mend"),
    (BudgetStop("enough"), 3, "error: enough"),
    (ServiceError("down"), 4, "error: down"),
    (KeyboardInterrupt(), 3, "stopped; what is finished is stored"),
    (OSError(28, "No space left on device"), 4, "No space left"),
    (sqlite3.OperationalError("disk I/O error"), 4, "disk I/O error"),
    (ZeroDivisionError("a\nb"), 70, "ZeroDivisionError: a b. run again with --debug"),
    (None, 0, ""), (1, 1, ""), (5, 5, ""),
])
def test_exit_codes(raising, capsys, what, code, words):
    raising(what)
    assert run(["boom"]) == code
    got = capsys.readouterr()
    assert words in got.err and "Traceback" not in got.err
    assert run(["boom", "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    if isinstance(what, BaseException):
        assert document["kind"] == "error" and document["schema_version"] == 1 and document["exit_code"] == code
        assert words.removeprefix("error: ") in document["message"]
    else:
        assert document == {"kind": "boom", "value": None}


def test_debug_shows_the_traceback(raising, capsys):
    raising(ZeroDivisionError("oops"))
    assert run(["boom", "--debug"]) == 70
    got = capsys.readouterr().err
    assert "Traceback" in got and "run again" not in got


@pytest.mark.parametrize(("args", "words"), [
    (["recpe"], "did you mean recipe?"), (["zzz"], "there are compile"), (["recipe", "check"], "RECIPE"),
    (["recipe", "check", "--jsn", "x"], "--jsn"), (["init"], "DIR"), (["recipe", "check", "none.yaml"], "none.yaml:1")])
def test_wrong_use_is_2(capsys, args, words):
    assert run(args) == 2
    assert words in capsys.readouterr().err
    assert run([*args, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["exit_code"] == 2


def test_closed_pipe_is_silent():
    script = (f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tokenrec.cli.main import main; "
              "main(['recipe', 'schema'])")
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait(30) == 0


def test_outputs_hold_to_their_schemas(capsys, tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    folder = tmp_path / "p"
    for args in (["init", str(folder)], ["recipe", "check", str(folder / "recipes/my_recipe.yaml"), "--data"],
                 ["recipe", "check", str(tmp_path / "none.yaml")]):
        run([*args, "--json"])
        document = json.loads(capsys.readouterr().out)
        schema = json.loads((ROOT / "tokenrec/report/schemas" / f"{document['kind']}.schema.json").read_text())
        jsonschema.validate(document, schema)

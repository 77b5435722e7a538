"""The script's side of the peers: environments on demand, one run each, what came back."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import yaml

# distilabel imports requests without asking for it.
NEEDS = {
    "dspy": ["dspy"], "curator": ["bespokelabs-curator"], "data-designer": ["data-designer"],
    "distilabel": ["distilabel[openai]", "requests"],
}  # fmt: skip
ENVS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tokenrec" / "peers"
# Nothing but the server: no telemetry, no hub, no prices to fetch; and no key of the user's for a peer to find.
QUIET = {
    "DO_NOT_TRACK": "1", "TELEMETRY_ENABLED": "false", "NEMO_TELEMETRY_ENABLED": "false", "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "CURATOR_DISABLE_CACHE": "1",
    "CURATOR_DISABLE_RICH_DISPLAY": "1", "OPENAI_API_KEY": "none",
}  # fmt: skip


def call(command: list, timeout: float, **options) -> str:
    """What a command printed. What it started ends with it; a failure is the last line that speaks of an error."""
    options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen([str(part) for part in command], **options) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"no end after {timeout:.0f} s") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        said = [line.strip() for line in (out + err).splitlines() if line.strip()]
        blamed = [line for line in said if "error" in line.lower()] or said or [f"exit {process.returncode}"]
        raise RuntimeError(blamed[-1][:300])
    return out


def environment(name: str, envs: Path) -> Path:
    """The Python of a peer's environment, made when it is not there."""
    folder, wanted = envs / name, " ".join(NEEDS[name])
    python, made = folder / "bin/python", folder / "made-for"
    if not made.exists() or made.read_text() != wanted:
        print(f"peer {name}: making {folder}", file=sys.stderr)
        call([sys.executable, "-m", "venv", "--clear", folder], 300)
        call([python, "-m", "pip", "install", "-q", *NEEDS[name]], 1800)
        made.write_text(wanted)
    return python


def names(text: str) -> list[str]:
    """The peers that an option names."""
    named = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := sorted(set(named) - set(NEEDS)):
        raise argparse.ArgumentTypeError(f"no peer is called {', '.join(unknown)}; there are {', '.join(NEEDS)}")
    return named


def run(name: str, options, url: str, recipe: Path) -> dict:
    """A peer's figures of the recipe's dishes, in a home that is new and goes with it: nothing is cached."""
    python = environment(name, options.peer_envs.absolute())
    instruction = yaml.safe_load(recipe.read_text())["tasks"]["menu_line"]["write"]
    with tempfile.TemporaryDirectory() as home:
        with open(f"{home}/records.jsonl", "w", encoding="utf-8") as file:
            for dish in map(json.loads, (recipe.parent / "dishes.jsonl").open(encoding="utf-8")):
                record = {"id": dish["dish_id"], **{key: dish[key] for key in ("name", "ingredients", "method")}}
                file.write(json.dumps(record | {"instruction": instruction}) + "\n")
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "LD_LIBRARY_PATH") if key in os.environ}
        kept |= {"HOME": home, "TMPDIR": home, "PYTHONPATH": str(Path(__file__).parents[1])}
        command = [python, "-m", f"peers.{name.replace('-', '_')}", "records.jsonl", "lines.jsonl", f"{url}/v1"]
        said = call([*command, options.concurrency], 900, cwd=home, env=kept | QUIET)
    return json.loads(said.strip().splitlines()[-1])


def compare(options, url: str, recipe: Path, bare: float | None) -> dict:
    """{peer: its figures, or {"error": one line}}: that one cannot be had is no reason to measure none."""
    figures = {}
    for name in options.peers:
        try:
            figures[name] = run(name, options, url, recipe)
            figures[name]["ratio"] = bare and figures[name]["records_per_s"] / bare
        except (OSError, RuntimeError, ValueError, IndexError) as error:
            figures[name] = {"error": str(error)}
    return figures

"""How commands speak: results on stdout, progress and errors on stderr, one JSON document with --json."""

import functools
import json
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import click

QUIET_ENV = {  # asked for before any heavy import; a variable that is already set stays as it is
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or LiteLLM asks the network at import
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}


def quiet_libraries(debug: bool = False) -> None:
    """Keep the libraries off the network and out of the output; call it before importing them.

    With `debug` their warnings and logs are left on.
    """
    for name, value in QUIET_ENV.items():
        os.environ.setdefault(name, value)
    if debug:
        return
    import logging
    import warnings

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)  # DSPy and LiteLLM set their own levels at import, so a level won't hold


@dataclass(frozen=True)
class Out:
    """What every command is handed first: the global options, and where to write."""

    json: bool = False
    quiet: bool = False
    debug: bool = False

    def emit(self, document: dict[str, Any]) -> None:
        """With --json, print the command's one document; otherwise nothing."""
        if self.json:
            emit(document)

    def print(self, text: str = "") -> None:
        """A result for people, on stdout; nothing with --json."""
        if not self.json:
            click.echo(text)

    def say(self, text: str) -> None:
        """A remark on stderr; nothing with --quiet."""
        if not self.quiet:
            click.echo(text, err=True)

    @cached_property
    def console(self):
        """A rich Console on stderr for progress; it shows nothing with --quiet."""
        from rich.console import Console

        return Console(stderr=True, quiet=self.quiet)

    @cached_property
    def table_console(self):
        """A rich Console on stdout for tables of results; it shows nothing with --json."""
        from rich.console import Console

        return Console(quiet=self.json)


def printable(text: str) -> str:
    """`text` as any UTF-8 stream takes it: half a surrogate pair is shown by its number."""
    return text.encode("utf-8", "backslashreplace").decode()


def emit(document: dict[str, Any], indent: int | None = 2) -> None:
    """Print one JSON document on stdout. NaN and infinity become null, since JSON has neither; `indent` None: on one
    line, for commands that print several."""
    ascii_only = "utf" not in (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    text = json.dumps(_clean(document), ensure_ascii=ascii_only, indent=indent, allow_nan=False)
    click.echo(printable(text))  # half a surrogate pair as JSON's own escape


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(v) for v in value]
    if hasattr(value, "item") and not isinstance(value, (str, bytes)) and getattr(value, "ndim", 1) == 0:
        return _clean(value.item())  # numpy scalars
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def common_options(command: Callable) -> Callable:
    """Add --json, --quiet and --debug to a command; its function gets an `Out` as first argument."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
    @click.option("--quiet", is_flag=True, help="No progress and no remarks.")
    @click.option("--debug", is_flag=True, help="Show tracebacks and what the libraries say.")
    @functools.wraps(command)
    def run(*args, as_json: bool, quiet: bool, debug: bool, **options):
        quiet_libraries(debug)
        return command(Out(as_json, quiet, debug), *args, **options)

    return run

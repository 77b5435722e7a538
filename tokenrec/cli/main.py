"""The command line. `tokenrec --help` imports no command, so it answers at once.

Exit codes (CONTRACT): 0 fine · 1 a declared limit tripped · 2 wrong use or bad input · 3 stopped by
budget or interrupt, run again to go on · 4 a service or the disk failed · 5 not enough labels to say ·
70 a defect of tokenrec itself (EX_SOFTWARE), which none of the others may be mistaken for.
"""

import os
import sqlite3
import sys
import traceback
from importlib import import_module

import click

from tokenrec import __version__
from tokenrec.cli.output import emit, printable
from tokenrec.errors import TokenrecError

STOPPED = "stopped; what is finished is stored, run the same command again to go on"
DEFECT = 70

COMMANDS = {  # name: (module:attribute, first line of its help)
    "compile": ("tokenrec.cli.compile:command", "Write texts, gate them, rank with them, and say which prompts help."),
    "recommend": ("tokenrec.cli.recommend:command", "Items for a request in words, with reasons, within its limits."),
    "plan": ("tokenrec.cli.plan:command", "What a compile would ask the LM, why, and what it would cost."),
    "curve": ("tokenrec.cli.curve:command", "Lift of each task against the share of its subjects that have a text."),
    "factors": ("tokenrec.cli.factors:command", "Ask the LM along which factors it could tell of the items (KAR)."),
    "diff": ("tokenrec.cli.diff:command", "Old and new prompt of each task, side by side, with their evidence."),
    "eval": (
        "tokenrec.cli.eval:command",
        "Noise and hallucination rates of a recipe's texts, before and after the gates.",
    ),
    "audit": ("tokenrec.cli.audit:command", "Label a drawn sample of the texts: sound, noise or hallucination."),
    "show": ("tokenrec.cli.show:command", "One completion: input, answer, verdicts, program, cost, and what it feeds."),
    "cost": ("tokenrec.cli.cost:command", "What was spent, by task, program, model and outcome."),
    "export": ("tokenrec.cli.export:command", "Completions for a replay elsewhere, and tokens for other tools."),
    "forget": ("tokenrec.cli.forget:command", "Remove a user's texts and traces from the store."),
    "prune": ("tokenrec.cli.prune:command", "Remove old answers that nothing rests on, when asked to."),
    "recipe": ("tokenrec.cli.recipe:group", "Check a recipe, or print its JSON Schema."),
    "init": ("tokenrec.cli.init:command", "Make a project that runs as it is."),
    "doctor": ("tokenrec.cli.doctor:command", "Say which models this machine could use, and what each is good for."),
}


class LazyGroup(click.Group):
    """A group that imports a command only when it is used."""

    def list_commands(self, ctx):
        return list(COMMANDS)

    def get_command(self, ctx, name):
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name][0].split(":")
        return getattr(import_module(module), attribute)

    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(self, ctx, args):
        from difflib import get_close_matches

        if args[0] not in COMMANDS and not args[0].startswith("-"):
            close = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(COMMANDS)}"
            raise click.UsageError(f"there is no command {args[0]}. {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tokenrec")
def cli():
    """Text features for recommenders: written by a language model, gated, and judged by the ranking."""


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit; no error shows a traceback unless --debug asks for it."""
    sys.exit(run(sys.argv[1:] if args is None else args))


def run(args: list[str]) -> int:
    """Run the command line; its exit code. A command's function may return one (None is 0)."""
    options = args[: args.index("--")] if "--" in args else args
    as_json, debug = "--json" in options, "--debug" in options
    try:
        with cli.make_context("tokenrec", list(args)) as ctx:
            code = cli.invoke(ctx)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except BrokenPipeError:  # the reader went away, as in `tokenrec … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, click.Abort):
        return _fail(STOPPED, 3, as_json, prefix="")
    except click.exceptions.NoArgsIsHelpError as error:
        return _fail(error.format_message(), 2, as_json, prefix="")
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "tokenrec"
        text = error.format_message().rstrip(".")
        return _fail(f"{text}{'' if text.endswith('?') else '.'} see {path} --help", 2, as_json)
    except click.ClickException as error:
        return _fail(error.format_message(), 2, as_json)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, TokenrecError):
            return _fail(str(error), error.exit_code, as_json)
        code = 4 if isinstance(error, (OSError, sqlite3.Error)) else DEFECT
        hint = "" if debug else ". run again with --debug for the traceback"
        text = " ".join(str(error).split())
        return _fail(f"{type(error).__name__}{': ' if text else ''}{text}{hint}", code, as_json)


def _fail(message: str, code: int, as_json: bool, prefix: str = "error: ") -> int:
    click.echo(printable(f"{prefix}{message}"), err=True)
    if as_json:
        emit({"kind": "error", "schema_version": 1, "message": message, "exit_code": code})
    return code


if __name__ == "__main__":
    main()

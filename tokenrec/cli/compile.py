"""`tokenrec compile`: the main job."""

import click

from tokenrec.cli.output import Out, common_options


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.option(
    "--optimizer", metavar="NAME",
    help="Instead of the recipe's: none, instructions, reanchor, bootstrap_random, mipro, gepa, or module.path:Class.",
)
@click.option("--check", is_flag=True, help="Only say whether the compiled programs are stale: exit 1 when they are.")
@click.option("--calls", type=click.IntRange(1), help="Stop after this many LM calls.")
@click.option("--lm-tokens", type=click.IntRange(1), help="Stop after this many LM tokens.")
@click.option("--usd", type=click.FloatRange(0, min_open=True), help="Stop when this much money is spent.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Stop after this long.")
@click.option("--users", type=click.IntRange(2), help="Keep only this many users, chosen by hash: a quick look.")
@click.option("--force", is_flag=True, help="Search prompts although there are few tune-A lists.")
@common_options
def command(out: Out, recipe, optimizer, check, calls, lm_tokens, usd, minutes, users, force) -> int | None:
    """Write texts, gate them, rank with them, search for better prompts, and say which ones helped.

    What is finished is kept in the store: run the same command again after a stop and it goes on; unchanged,
    it asks the LM nothing. Exits 0 when done, 1 when --check finds a stale program, 2 for bad input, 3 when a budget
    or Ctrl-C stopped it, 4 when the LM or the disk failed.
    """
    from tokenrec.recipe.load import load_recipe
    from tokenrec.recipe.models import Budget

    loaded = load_recipe(recipe)
    if check:
        return _check(out, loaded, users)
    from tokenrec.compiler.compile import compile_recipe
    from tokenrec.report.progress import Stages

    console = None if out.quiet else out.console
    if console:
        console.print("loading models and data…" if console.is_terminal else "loading", highlight=False)
    budget = Budget(calls=calls, lm_tokens=lm_tokens, usd=usd, minutes=minutes)
    document = compile_recipe(
        loaded, Stages(console), optimizer=optimizer, force=force, budget=budget, most_users=users
    )
    out.emit(document)
    if not out.json:
        from tokenrec.report.terminal import print_compile

        print_compile(out.table_console, document)
        project = loaded.project.project
        out.say(f"Texts, verdicts and figures: {project.store} (tokenrec show, export). Programs: programs/compiled/.")


def _check(out: Out, loaded, users: int | None) -> int:
    """Say which compiled programs are stale, and why; 1 when any is. Nothing is written."""
    from tokenrec.compiler.check import check_compiled

    document = check_compiled(loaded, users)
    out.emit(document)
    for p in document["programs"]:
        out.print(f"{p['file']}: {'; '.join(p['stale_because']) or 'fresh'}")
    if not document["programs"]:
        out.print(f"{document['recipe']}: no programs are saved for {document['lm']}")
    if document["stale"]:
        out.say(f"stale: run tokenrec compile {loaded.path}")
    return int(document["stale"])

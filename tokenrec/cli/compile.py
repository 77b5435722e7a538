"""`tokenrec compile`: the main job."""

import click

from tokenrec.cli.output import Out, common_options


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.option(
    "--optimizer",
    type=click.Choice(["none", "bootstrap_random"]),
    help="Instead of the recipe's; none skips the search.",
)
@click.option("--calls", type=click.IntRange(1), help="Stop after this many LM calls.")
@click.option("--lm-tokens", type=click.IntRange(1), help="Stop after this many LM tokens.")
@click.option("--usd", type=click.FloatRange(0, min_open=True), help="Stop when this much money is spent.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Stop after this long.")
@click.option("--users", type=click.IntRange(2), help="Keep only this many users, chosen by hash: a quick look.")
@click.option("--force", is_flag=True, help="Search prompts although there are few tune-A lists.")
@click.option("--judge", is_flag=True, help="Compile nothing but the LM judges of the recipe, on people's labels.")
@common_options
def command(out: Out, recipe, optimizer, calls, lm_tokens, usd, minutes, users, force, judge) -> int | None:
    """Write texts, gate them, rank with them, search for better prompts, and say which ones helped.

    What is finished is kept in the store: run the same command again after a stop and it goes on; unchanged,
    it asks the LM nothing. Exits 0 when done, 2 for bad input, 3 when a budget or Ctrl-C stopped it, 4 when
    the LM or the disk failed.

    --judge looks for better demonstrations, and a better threshold, for the language models that judge texts
    (judge: lm), on half of the labelled texts; it measures before and after on the other half and keeps what is better
    there. No text is written. Exits 5 when the labels are too few.
    """
    from tokenrec.recipe.load import load_recipe
    from tokenrec.recipe.models import Budget

    loaded = load_recipe(recipe)
    from tokenrec.report.progress import Stages

    console = None if out.quiet else out.console
    if console:
        console.print("loading models and data…" if console.is_terminal else "loading", highlight=False)
    budget = Budget(calls=calls, lm_tokens=lm_tokens, usd=usd, minutes=minutes)
    if judge:
        return _judges(out, loaded, Stages(console), budget)
    from tokenrec.compiler.compile import compile_recipe

    document = compile_recipe(
        loaded, Stages(console), optimizer=optimizer, force=force, budget=budget, most_users=users
    )
    out.emit(document)
    if not out.json:
        from tokenrec.report.terminal import print_compile

        print_compile(out.table_console, document)
        project = loaded.project.project
        out.say(f"Texts, verdicts and figures: {project.store} (tokenrec show, export). Programs: programs/compiled/.")


def _judges(out: Out, loaded, stages, budget) -> int:
    from tokenrec.compiler.judge import compile_judges, enough

    document = compile_judges(loaded, stages, budget)
    out.emit(document)
    for note in document["notes"]:
        out.say(f"note: {note}")
    for j in document["judges"]:
        labels = j["labels"]
        out.print(f"{j['task']}.{j['output']}, judged by {document['lm']}: {labels['compiling']['texts']} labels to "
                  f"compile on, {labels['measuring']['texts']} to measure on")  # fmt: skip
        for name, shown in (("auroc", "AUROC"), ("f1", "F1")) if j["before"] else ():
            before, after, apart = (_share(j[key][name]) for key in ("before", "after", "difference"))
            out.print(f"  {shown}: before {before}, after {after}, difference {apart}")
        if j["before"]:
            out.print(f"  F1 of calling every text unsupported: {j['all_unsupported_f1']:.2f}")
        out.print(f"  {j['note']}" + (f": {j['file']}" if j["file"] else ""))
    return 0 if enough(document) else 5


def _share(found: dict) -> str:
    return f"{found['value']:.2f} ({found['low']:.2f} to {found['high']:.2f})"

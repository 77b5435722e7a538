"""`tokenrec plan`: what a compile would ask the LM, before it does."""

from typing import Any

import click

from tokenrec.cli.output import Out, common_options


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.option("--optimizer", metavar="NAME", help="As for compile; none leaves the search out.")
@click.option("--users", type=click.IntRange(2), help="As for compile: only this many users, chosen by hash.")
@click.option("--force", is_flag=True, help="As for compile: search prompts although there are few tune-A lists.")
@common_options
def command(out: Out, recipe, optimizer, users, force) -> None:
    """Say what a compile would ask the LM, why, what it would cost, and the smallest lift that the data could show.

    The LM is not asked, its weights are not loaded and its key is not needed; the store is left as it is. Calls are
    counted; LM tokens, money and minutes are estimated, from stored answers where there are any. Exits 0, 2 for bad
    input, 4 when the store can't be read.
    """
    from tokenrec.recipe.load import load_recipe

    loaded = load_recipe(recipe)
    from tokenrec.compiler.plan import plan_recipe
    from tokenrec.report.progress import Stages

    document = plan_recipe(
        loaded, Stages(None if out.quiet else out.console), optimizer=optimizer, force=force, most_users=users
    )
    out.emit(document)
    if not out.json:
        print_plan(out.table_console, document)


def print_plan(console, doc: dict[str, Any]) -> None:
    """The table for people, and what the figures rest on."""
    from rich.table import Table

    table = Table(title=f"{doc['recipe']}: what a compile would ask {doc['lm']}", title_justify="left")
    for name in ("task", "calls", "LM tokens", "cost", "minutes", "because"):
        table.add_column(name, justify="left" if name in ("task", "because") else "right", no_wrap=name != "because")
    for t in doc["tasks"]:
        table.add_row(t["task"], *_figures(t), "; ".join(t["stale_because"]) or "nothing to do")
    if len(doc["tasks"]) > 1:
        table.add_section()
        table.add_row("total", *_figures(doc["total"]), "")
    console.print(table)
    for line in closing(doc):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def closing(doc: dict[str, Any]) -> list[str]:
    """What the estimates rest on, what the search may add, and what the data could show."""
    lines = []
    for basis in dict.fromkeys(t["rests_on"] for t in doc["tasks"] if t["rests_on"]):
        names = ", ".join(t["task"] for t in doc["tasks"] if t["rests_on"] == basis)
        lines.append(f"LM tokens of {names}: {basis}.")
    for s in doc["searches"]:
        more = f"at most {s['calls_at_most']:,} calls more: " if s["calls_at_most"] else ""
        lines.append(f"search {s['task']}: {more}{s['note']}")
    least = doc["smallest_detectable_lift"]
    if least is not None:
        lines.append(
            f"The smallest lift this data could show is {least:.4f} {doc['objective']['metric']} "
            f"(80% power, {doc['lists']['n_test']:,} test lists; an upper guess)."
        )
    lines += [f"note: {note}" for note in doc["notes"]]
    if doc["nothing_to_do"]:
        lines.append("Nothing to do: everything is in the store. A compile asks nothing and measures again.")
    return lines


def _figures(t: dict[str, Any]) -> list[str]:
    cost = "unknown" if t["cost_usd"] is None else f"${t['cost_usd']:.2f}" if t["cost_usd"] >= 0.005 else "< $0.01"
    cost = "0" if t["cost_usd"] == 0 else cost
    minutes = "unknown" if t["minutes"] is None else f"{t['minutes']:.1f}" if t["minutes"] else "0"
    if t["calls"] and t["minutes"] is not None and t["minutes"] < 0.1:
        minutes = "< 0.1"
    return [f"{t['calls']:,}", f"{t['prompt_tokens'] + t['completion_tokens']:,}", cost, minutes]

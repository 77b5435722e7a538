"""`tokenrec recommend`: a menu for a request, or who would want a new item."""

from typing import Any

import click

from tokenrec.cli.output import Out, common_options


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.argument("request_", metavar="[REQUEST]", required=False)
@click.option("--user", metavar="ID", help="Rank by this user's history too.")
@click.option("-k", "k", type=click.IntRange(1, 100), default=10, show_default=True, help="How many.")
@common_options
def command(out: Out, recipe, request_, user, k) -> None:
    """Answer a request in words: items that suit it, each with why it is there.

    Without REQUEST every line of standard input is one (with --json, one document a line). Limits ("no pork, under 30
    minutes, nut allergy") are held against the items' own facts, never against generated text; an item whose facts do
    not say is left out. Compile first: the ranker that was measured there is the one that ranks here. No LM is asked.
    Exits 0, 2 for bad input or nothing compiled, 4 when the store can't be read.
    """
    import sys

    from tokenrec.errors import InputError
    from tokenrec.recipe.load import load_recipe

    loaded = load_recipe(recipe)
    from tokenrec.serve.menu import recommend
    from tokenrec.serve.server import open_server

    server = open_server(loaded)
    if request_ is not None:
        document = recommend(server, request_, user, k)
        out.emit(document)
        if not out.json:
            show(out, document)
        return
    for line in filter(str.strip, sys.stdin):
        try:
            document = recommend(server, line.strip(), user, k)
        except InputError as error:  # one bad line stops no others
            out.say(str(error))
            continue
        if out.json:
            import json

            click.echo(json.dumps(document, ensure_ascii=False))
        else:
            show(out, document)


def show(out: Out, doc: dict[str, Any]) -> None:
    """The menu for people."""
    from rich.markup import escape
    from rich.table import Table

    said = doc["looked_for"] or "anything"
    if doc["language"]:
        out.print(f'read as: {doc["read_as"]}')
        if doc["not_understood"]:
            out.print(f'not understood, looked for as it stands: {", ".join(doc["not_understood"])}')
    for limit in doc["limits"]:
        left = doc["left_out"][limit["limit"]]
        unknown = f', {left["unknown"]} whose facts don\'t say' if left["unknown"] else ""
        out.print(f'limit: {limit["limit"]} ({left["breaks"]} items left out{unknown})')
    for word in doc["unkept"]:
        out.print(f"no limit: {word} can't be told from the facts of these items")
    mark = "  SIMULATED users" if doc["simulated"] else ""
    title = f'A menu for "{escape(said)}"' + (f' and {escape(doc["user"])}' if doc["user"] else "") + mark
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("", "dish", "why"):
        table.add_column(name, overflow="fold")
    for place, item in enumerate(doc["items"], 1):
        facts = ", ".join(f"{v} {f}" if isinstance(v, int | float) else str(v) for f, v in item["facts"].items())
        name = f'{escape(item["name"])}' + (f"\n[dim]{escape(item['line'])}[/dim]" if item["line"] else "")
        why = "; ".join(_why(w) for w in item["why"]) or "reads like the request"
        if doc["user"]:
            why += f'; {_nth(item["place_for_user"])} by what they liked'
        table.add_row(str(place), name + (f"\n[dim]{escape(facts)}[/dim]" if facts else ""), escape(why))
    out.table_console.print(table)
    for note in doc["notes"]:
        out.say(f"note: {note}")
    if any(x["limit"].startswith("without") for x in doc["limits"]):
        out.print("Limits go by the listed facts; traces and kitchens are not listed.")


def _why(reason: dict[str, Any]) -> str:
    words = ", ".join(reason["words"])
    if reason["kind"] == "token":
        return f'{words} {reason["probability"]:.2f} ({reason["from"]})'
    return f'{words} ({reason["from"]})'


def _nth(n: int) -> str:
    return f"{n}{'th' if 10 <= n % 100 <= 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}"

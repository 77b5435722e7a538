"""`tokenrec recommend`: a menu for a request, or who would want a new item."""

from typing import Any

import click

from tokenrec.cli.output import Out, common_options, emit


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.argument("request_", metavar="[REQUEST]", required=False)
@click.option("--user", metavar="ID", help="Rank by this user's history too.")
@click.option(
    "--item", "new", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
    help="A new item (JSON), or several (JSONL): who would want it? It is written about, gated and scored.",
)
@click.option(
    "--write/--no-write", default=None,
    help="Have the LM write each line for this request, gated; or not. As recommend.write of the recipe unless said.",
)
@click.option("-k", "k", type=click.IntRange(1, 100), default=10, show_default=True, help="How many.")
@common_options
def command(out: Out, recipe, request_, user, new, write, k) -> int:
    """Answer a request in words: items that suit it, each with why it is there.

    Without REQUEST every line of standard input is one (with --json, one document a line). Limits ("no pork, under 30
    minutes, nut allergy") are held against the items' own facts, never against generated text; an item whose facts do
    not say is left out. Compile first: the ranker that was measured there is the one that ranks here. A request asks no
    LM unless lines are to be written; --item has the new items' texts written, once. Exits 0, 2 for bad input or
    nothing compiled, 3 stopped by the budget, 4 when the LM or the store can't be used.
    """
    import sys
    from pathlib import Path

    from tokenrec.errors import InputError
    from tokenrec.recipe.load import load_recipe

    if new and (request_ or user):
        raise InputError("--item asks who would want it: without REQUEST and --user")
    loaded = load_recipe(recipe)
    if new:
        from tokenrec.report.progress import Stages
        from tokenrec.serve.new_items import recommend_items

        with Stages(None if out.quiet else out.console).stage("texts about new items") as bar:
            documents = list(recommend_items(loaded, Path(new), k, bar.generation))
        for document in documents:
            if out.json and len(documents) > 1:
                emit(document, indent=None)
                continue
            out.emit(document)
            if not out.json:
                show_users(out, document)
        return 0
    from tokenrec.serve.menu import recommend
    from tokenrec.serve.server import open_server

    server = open_server(loaded)
    if request_ is not None:
        document = recommend(server, request_, user, k, write)
        out.emit(document)
        if not out.json:
            show(out, document)
        return 0
    refused = False
    for line in filter(str.strip, sys.stdin):
        try:
            document = recommend(server, line.strip(), user, k, write)
        except InputError as error:  # one bad line stops no others
            refused = True
            if out.json:
                emit({"kind": "error", "schema_version": 1, "message": str(error), "exit_code": 2}, indent=None)
            else:
                out.say(f"{line.strip()}: {error}")
            continue
        if out.json:
            emit(document, indent=None)
        else:
            show(out, document)
    return 2 if refused else 0


def show(out: Out, doc: dict[str, Any]) -> None:
    """The menu for people."""
    from rich.markup import escape
    from rich.table import Table

    said, plain = doc["looked_for"] or "anything", "reads like the request" if doc["looked_for"] else "keeps the limits"
    if doc["language"]:
        out.print(f'read as: {doc["read_as"]}')
        if doc["not_understood"]:
            out.print(f'not understood, looked for as it stands: {", ".join(doc["not_understood"])}')
    for limit in doc["filters"]:
        unknown = f', {limit["unknown"]} whose facts don\'t say' if limit["unknown"] else ""
        out.print(f'limit: {limit["limit"]} ({limit["breaks"]} items left out{unknown})')
    for word in doc["unkept"]:
        partly = any(x["limit"].startswith(f"{word},") for x in doc["filters"])
        what = f'not all that "{word}" asks for can' if partly else f'no limit: "{word}" can\'t'
        out.print(f"{what} be told from the facts of these items")
    mark = "  SIMULATED users" if doc["simulated"] else ""
    title = f'A menu for "{escape(said)}"' + (f' and {escape(doc["user"])}' if doc["user"] else "") + mark
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("", "item", "why"):
        table.add_column(name, overflow="fold")
    for place, item in enumerate(doc["results"], 1):
        facts = ", ".join(f"{v} {f}" if isinstance(v, int | float) else str(v) for f, v in item["facts"].items())
        name = f'{escape(item["name"])}' + (f"\n[dim]{escape(item['line'])}[/dim]" if item["line"] else "")
        why = "; ".join(_why(w) for w in item["why"]) or plain
        if doc["user"]:
            why += f'; {_nth(item["place_for_user"])} by what they liked'
        table.add_row(str(place), name + (f"\n[dim]{escape(facts)}[/dim]" if facts else ""), escape(why))
    out.table_console.print(table)
    for note in doc["notes"]:
        out.say(f"note: {note}")
    if any(x["limit"].startswith("without") for x in doc["filters"]):
        out.print("Limits go by the listed facts; traces and kitchens are not listed.")


def show_users(out: Out, doc: dict[str, Any]) -> None:
    """Who would want a new item, and what was written about it, for people."""
    from rich.markup import escape
    from rich.table import Table

    for token in doc["tokens"]:
        output = (token["output"] or {}).items()
        said = ", ".join(f"{k}: {', '.join(v) if isinstance(v, list) else v}" for k, v in output)
        why = f' ({"; ".join(token["reasons"])})' if token["reasons"] else ""
        out.print(f'{token["task"]}  {token["state"]}  {said}{why}')
    mark = "  SIMULATED users" if doc["simulated"] else ""
    table = Table(title=f'Who would want {escape(doc["name"])}{mark}', title_justify="left", box=None, pad_edge=False)
    for name, side in (("user", "left"), ("place in their list", "right"), ("score", "right"), ("they liked", "left")):
        table.add_column(name, justify=side, overflow="fold")
    for user in doc["users"]:
        liked = escape(", ".join(user["because"]))
        table.add_row(escape(user["user"]), str(user["place"]), f'{user["score"]:+.2f}', liked)
    out.table_console.print(table)
    out.say(f'{doc["lm_calls"]} LM calls, {doc["seconds"]:.1f} s an item')
    for note in doc["notes"]:
        out.say(f"note: {note}")


def _why(reason: dict[str, Any]) -> str:
    words = ", ".join(reason["words"])
    if reason["kind"] == "token":
        return f'{words} {reason["probability"]:.2f} ({reason["from"]})'
    if reason["kind"] == "profile":
        return f'{words} {reason["probability"]:.2f}, as they like ({reason["from"]})'
    return f'{words} ({reason["from"]})'


def _nth(n: int) -> str:
    return f"{n}{'th' if 10 <= n % 100 <= 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}"

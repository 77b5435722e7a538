"""`tokenrec doctor`: what this machine could run, and what each model is good for."""

import click

from tokenrec.cli.output import Out, common_options


@click.command()
@common_options
def command(out: Out) -> int:
    """Say which models this machine could use, what each is good for, and whether the parts work.

    Looks at the project of the working folder, at Ollama on this machine and at which keys are set (never at their
    values); nothing leaves the machine. Exits 0 when the bundled recipe app could run, 2 when not, saying what to do.
    """
    out.say("importing the libraries once, to see that they work")
    from tokenrec.cli.diagnose import diagnose

    doc = diagnose()
    out.emit(doc)
    if not out.json:
        _print(out.table_console, doc)
    return 0 if doc["ready"] else 2


def _print(console, doc: dict) -> None:
    from rich.table import Table

    say = {"markup": False, "highlight": False, "soft_wrap": True}
    memory = f"{doc['memory_gb']:.0f} GB of memory" if doc["memory_gb"] else "memory unknown"
    machine = f"Python {doc['python']}, {doc['system']}, {doc['cores']} cores, {memory}"
    console.print(f"tokenrec {doc['tokenrec']}, {machine}", **say)
    console.print(f"project: {doc['project'] or 'no tokenrec.yaml here or above: the defaults'}", **say)
    for part in doc["checks"]:
        console.print(f"{'ok ' if part['ok'] else 'NO '} {part['name']}: {part['found']}", **say)
        if part["fix"]:
            console.print(f"    {part['fix']}", **say)
    table = Table(title="Models", title_justify="left")
    for name in ("name in lm:", "usable", "what it is", "good for"):
        table.add_column(name)
    from rich.text import Text

    for m in doc["models"]:
        cells = [m["name"], "yes" if m["usable"] else "no", m["what"], m["good_for"] if m["usable"] else m["problem"]]
        table.add_row(*[Text(c or "") for c in cells])
    console.print(table)
    console.print(f"keys that are set: {', '.join(doc['keys']) or 'none'} (names only, never values)", **say)
    console.print("The recipe app can run: tokenrec compile recipes/recipe_app.yaml" if doc["ready"]
                  else "The recipe app can't run yet: mend the lines marked NO", **say)  # fmt: skip

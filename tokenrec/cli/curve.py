"""`tokenrec curve`: how much of a task's lift a share of its texts would bring."""

from typing import Any

import click

from tokenrec.cli.output import Out, common_options

WIDTH = 41


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.option("--task", metavar="TASK", default="", help="Of this task only.")
@click.option(
    "--on", type=click.Choice(["tune", "test"]), default="tune",
    help="Which lists: tune-A, by which one may choose how much to write, or test, whose reads are counted.",
)
@click.option("--users", type=click.IntRange(2), help="As for compile: only this many users, chosen by hash.")
@common_options
def command(out: Out, recipe, task, on, users) -> None:
    """Draw the learning curve: each task's lift with 0, 10, 25, 50, 75 and 100% of its texts.

    The texts are those in the store; the LM is not asked. Which ones are left out is drawn by hash, and each share is
    part of the next. The ranker is trained anew for each share and seed, which takes a few minutes. When the curve is
    still rising, more texts may pay; when it is flat, fewer would have done. Exits 0, 2 for bad input or when nothing
    is written yet, 4 when the store can't be read.
    """
    from tokenrec.recipe.load import load_recipe

    loaded = load_recipe(recipe)
    from tokenrec.compiler.curve import curve_recipe
    from tokenrec.report.progress import Stages

    document = curve_recipe(loaded, Stages(None if out.quiet else out.console), on, task, users)
    out.emit(document)
    if not out.json:
        for line in drawn(document):
            out.print(line)


def drawn(doc: dict[str, Any]) -> list[str]:
    """The curves for people: a row a share, its lift, interval, and both as a picture."""
    mark = "  SIMULATED users" if doc["simulated"] else ""
    window = {"tune": "tune-A", "test": "test"}[doc["window"]]
    lines = [f"Lift in {doc['objective']['metric']} over raw_text by share of the texts, {window}, "
             f"{doc['lists']:,} lists, slice {doc['objective']['slice']}{mark}"]  # fmt: skip
    for task in doc["tasks"]:
        seen = [p for p in task["points"] if p["low"] is not None]
        low, high = min(p["low"] for p in seen), max(p["high"] for p in seen)
        lines += ["", f"{task['task']}  ({low:+.4f} to {high:+.4f} across)"]
        for p in task["points"]:
            figures = f"{p['share']:4.0%} {p['subjects']:7,}  {p['lift']:+.4f}"
            lines.append(f"{figures}  {_picture(p, low, high)}".rstrip())
        if task["enough"] is not None:
            lines.append(f"90% of the whole lift from {task['enough']:.0%} of the texts on.")
        else:
            lines.append("The whole lift is not above 0 with 95% confidence: the curve says nothing yet.")
    if doc["test_reads"] is not None:
        lines.append(f"\nOn this data test was read {doc['test_reads']} time(s): choose nothing by this curve.")
    return lines + [f"note: {note}" for note in doc["notes"]]


def _picture(point: dict[str, Any], low: float, high: float) -> str:
    """The interval as a line, the lift as a dot on it, zero as a bar."""
    span = high - low or 1.0

    def at(value: float) -> int:
        return round((value - low) / span * (WIDTH - 1))

    cells = [" "] * WIDTH
    if point["low"] is not None and point["high"] is not None:
        for i in range(at(point["low"]), at(point["high"]) + 1):
            cells[i] = "─"
    if low <= 0 <= high:
        cells[at(0)] = "│"
    cells[at(point["lift"])] = "●"
    return "".join(cells)

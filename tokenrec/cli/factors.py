"""`tokenrec factors`: what an LM would tell of this catalogue's items, factor by factor (KAR)."""

from typing import Any

import click

from tokenrec.cli.output import Out, common_options
from tokenrec.cli.stored import visible


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.option("--defaults", is_flag=True, help="Ask nothing: factors for any domain.")
@click.option("--measure", is_flag=True, help="Leave each factor of the texts in the store out in turn: which help?")
@click.option(
    "--on", type=click.Choice(["tune", "test"]), default="tune",
    help="With --measure: tune-A, by which factors may be chosen, or test, whose reads are counted.",
)
@common_options
def command(out: Out, recipe, defaults, measure, on) -> None:
    """Ask the recipe's writer, once, for the factors that decide what people like here, and print a task with them.

    It is shown some records of the catalogue, the fields that `privacy.send` allows. Edit what is printed and put it
    under `tasks:`. Where fewer than three lines of the answer can be used, the defaults are printed and it is said.
    Nothing is stored but the cost. With --measure nothing is asked: the ranker is trained without each factor, and with
    each alone. Exits 0, 2 for bad input, 3 at a limit of the budget, 4 when the model is gone.
    """
    from tokenrec.dataset.load import load_dataset
    from tokenrec.errors import ServiceError
    from tokenrec.lm.meter import Meter
    from tokenrec.lm.writer import open_writer
    from tokenrec.recipe.load import load_recipe
    from tokenrec.recipe.models import Budget
    from tokenrec.store.completions import add_spend
    from tokenrec.store.store import open_store
    from tokenrec.tasks.factors import FEWEST, Factor, as_yaml, propose
    from tokenrec.tasks.module import built_in

    loaded = load_recipe(recipe)
    if measure:
        from tokenrec.compiler.leave_out import measure_factors
        from tokenrec.report.progress import Stages

        document = measure_factors(loaded, Stages(None if out.quiet else out.console), on)
        out.emit(document)
        if not out.json:
            show(out.table_console, document)
            if document["test_reads"] is not None:
                out.print(f"On this data test was read {document['test_reads']} time(s): choose no factor by this.")
            for note in document["notes"]:
                out.say(f"note: {note}")
        return
    general = [Factor(name, covers) for name, covers in built_in("kar").DEFAULTS.items()]
    found, note, calls, cost, lm = [], "", 0, 0.0, None
    if not defaults:
        limits = loaded.project.project.budget.model_dump()
        limits |= {k: v for k, v in loaded.recipe.budget.model_dump().items() if v is not None}
        writer = open_writer(loaded.project, loaded.recipe.lm.writer, Meter(budget=Budget(**limits)))
        if writer.replay:
            raise click.UsageError(f"{writer.name} is a recording and can't propose factors: --defaults asks nothing")
        lm = writer.lm_id
        found, answer = propose(loaded.recipe, load_dataset(loaded.recipe, loaded.folder), writer)
        calls, cost = answer.usage.calls, answer.usage.usd
        db = open_store(loaded.project.store)
        add_spend(db, "factors", None, "factors", lm, answer.usage)
        db.conn.close()
        if answer.error:
            raise ServiceError(f"{writer.name}: {answer.error}. Nothing was proposed; --defaults asks nothing")
        if len(found) < FEWEST:
            said = " ".join(answer.raw.split())[:80]
            note = f'{len(found)} lines of the answer could be used ("{said}"): these are factors for any domain'
    factors = found if len(found) >= FEWEST else general
    text = as_yaml(loaded.recipe, factors)
    out.emit({
        "kind": "factors", "schema_version": 1, "recipe": loaded.recipe.name, "lm": lm,
        "proposed": bool(not note and lm),
        "factors": [{"name": f.name, "covers": f.covers} for f in factors], "yaml": text, "note": note or None,
        "lm_calls": calls, "cost_usd": cost,
    })  # fmt: skip
    if note:
        out.say(f"note: {visible(note)}")
    if not out.json:
        out.print(visible(text))


def show(console, doc: dict[str, Any]) -> None:
    """A table a task: what is lost without each factor, and what each adds alone."""
    from rich.table import Table

    for task in doc["tasks"]:
        mark = "  SIMULATED users" if doc["simulated"] else ""
        window = {"tune": "tune-A", "test": "test"}[doc["window"]]
        title = (f"{task['task']} by factor: lift in {doc['objective']['metric']}, {window}, slice "
                 f"{doc['objective']['slice']}, {doc['lists']:,} lists{mark}")  # fmt: skip
        console.print(f"\n[bold]{title}[/bold]", highlight=False, soft_wrap=True)
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        for name, side in (("factor", "left"), ("texts", "right"), ("left out", "right"), ("adjusted 95%", "right"),
                           ("alone", "right"), ("95%", "right")):  # fmt: skip
            table.add_column(name, justify=side, no_wrap=True)
        table.add_row("all of them", "", "", "", *_cells(task["lift"], task["low"], task["high"]))
        for row in task["factors"]:
            lost = _cells(row["left_out"], row["low"], row["high"])
            table.add_row(row["factor"], f"{row['texts']:,}", *lost,
                          *_cells(row["alone"], row["low_alone"], row["high_alone"]))  # fmt: skip
        console.print(table)
    console.print(
        "left out: what the ranking loses without the factor. What two factors both say is lost with neither.",
        style="dim", highlight=False, soft_wrap=True,
    )  # fmt: skip


def _cells(value: float | None, low: float | None, high: float | None) -> tuple[str, str]:
    return ("?" if value is None else f"{value:+.4f}", "" if low is None else f"{low:+.4f} to {high:+.4f}")

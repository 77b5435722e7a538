"""`tokenrec diff`: old and new prompt of each task, side by side, with their evidence."""

import difflib
from typing import Any

import click

from tokenrec.cli.output import Out, common_options
from tokenrec.cli.stored import money, visible


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.argument("tasks", metavar="[TASK]...", nargs=-1)
@common_options
def command(out: Out, recipe, tasks) -> None:
    """Show each task's old and new prompt side by side: instructions, examples, weights, scores and cost.

    New is the compiled program where one was promoted, beside what it replaced; otherwise the best finalist of the
    last search, which did not win, beside the program in use; otherwise the recipe's own prompt, where it was edited
    since it was compiled, beside the compiled one. Nothing is written and no LM is asked. Exits 0, 2 for
    bad input, 4 when the store can't be read.
    """
    from tokenrec.compiler.diff import diff_recipe
    from tokenrec.errors import InputError
    from tokenrec.recipe.load import load_recipe
    from tokenrec.store.store import copy_store

    loaded = load_recipe(recipe, check_files=False)
    for name in tasks:
        if name not in loaded.recipe.tasks:
            raise InputError(f"{recipe} has no task {name}. There are {', '.join(loaded.recipe.tasks)}")
    db = copy_store(loaded.project.store) if loaded.project.store.is_file() else None
    document = diff_recipe(loaded, db)
    if tasks:
        document["tasks"] = [t for t in document["tasks"] if t["task"] in tasks]
    out.emit(document)
    if not out.json:
        for task in document["tasks"]:
            print_task(out.table_console, task)


def print_task(console, task: dict[str, Any]) -> None:
    """One task: a line of what came of it, the two prompts, and the figures beneath."""
    from rich.table import Table

    said = {"promoted": "the new prompt was promoted", "not_promoted": "the new prompt did not win",
            "edited": "edited since it was compiled", "no_challenger": "no new prompt"}[task["status"]]  # fmt: skip
    say = {"markup": False, "highlight": False, "soft_wrap": True}
    console.print(f"{task['task']}: {said}{'. ' + visible(task['note']) if task['note'] else ''}", **say)
    if task["new"] is None:
        return
    table = Table(show_header=True, expand=True)
    for title in ("", "old " + task["old"]["program"][:12], "new " + task["new"]["program"][:12]):
        table.add_column(title, ratio=1 if title else None, overflow="fold", width=None if title else 1)
    for part, left, right in rows(task["old"], task["new"]):
        table.add_row("" if left == right else "≠", *[_cell(f"{part}: {x}" if x else "") for x in (left, right)])
    console.print(table)
    for line in figures(task):
        console.print(line, **say)


def rows(old: dict, new: dict) -> list[tuple[str, str, str]]:
    """(part, old, new) of every line of two programs; examples are lined up, those that only one has stand alone."""
    made = []
    for name in dict.fromkeys([*old["predictors"], *new["predictors"]]):
        a, b = (p["predictors"].get(name) or {} for p in (old, new))
        made.append(("instruction", a.get("instructions", ""), b.get("instructions", "")))
        left, right = ([_example(e) for e in p.get("examples", [])] for p in (a, b))
        for kind, i, j, k, m in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
            if kind == "equal":
                made += [("example", x, x) for x in left[i:j]]
            else:
                made += [("example", x, "") for x in left[i:j]] + [("example", "", x) for x in right[k:m]]
        for output in sorted({*a.get("weights", {}), *b.get("weights", {})}):
            left, right = (_weights(p.get("weights", {}).get(output)) for p in (a, b))
            if left and right:
                made.append((f"weights of {output}", left, right))
    return made


def figures(task: dict[str, Any]) -> list[str]:
    """The evidence and the cost, in words."""
    e, lines = task["evidence"] or {"lite_old": None, "delta": None}, []
    if e["lite_old"] is not None:
        lines.append(f"  lite on tune-A: old {e['lite_old']:+.4f}, new {e['lite_new']:+.4f}")
    if e["delta"] is not None:
        at = f", level {e['alpha']:.4f}, look {e['look']}" if e.get("alpha") is not None else ""
        many = f", {e['challengers']} challengers" if e.get("challengers") else ""
        lines.append(f"  promotion on tune-B: {e['delta']:+.4f} (low {e['low']:+.4f}), p = {e['p']:.4f}{at}{many}")
    for which in ("old", "new"):
        if cost := task["cost"][which]:
            tokens = cost["prompt_tokens"] + cost["completion_tokens"]
            asked = f"{cost['answers']:,} answers stored, {cost['calls']:,} calls"
            lines.append(f"  {which}: {asked}, {tokens:,} LM tokens, {money(cost['cost_usd'])}")
    return lines


def _cell(text: str):
    from rich.text import Text

    return Text(visible(text))


def _example(example: dict[str, Any]) -> str:
    return "; ".join(f"{k}: {', '.join(map(str, v)) if isinstance(v, list) else v}" for k, v in example.items())


def _weights(weights: dict[str, float] | None) -> str:
    return ", ".join(f"{k} {v:.3g}" for k, v in sorted((weights or {}).items()))

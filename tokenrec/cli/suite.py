"""`tokenrec eval SUITE.yaml`: the gates against labelled cases."""

from typing import Any

from tokenrec.cli.output import Out

WIDE = 160  # characters of a text that are shown


def try_suite(out: Out, path: str, options: dict[str, Any]) -> int:
    """Try the suite at `path`, print what came of it, and return the exit code.

    `options`: those of `tokenrec eval` that are for recipes only. Raises InputError where one is given, and for every
    fault of the suite.
    """
    from tokenrec.errors import InputError
    from tokenrec.evidence.rates import exit_code
    from tokenrec.evidence.suite import load_suite
    from tokenrec.evidence.trial import document, try_cases

    if given := [name for name, value in options.items() if value]:
        raise InputError(f"{given[0]} goes with a recipe, and {path} is a suite. Leave it out")
    loaded = load_suite(path)
    doc = document(loaded, try_cases(loaded))
    for note in doc["notes"]:
        out.say(f"note: {note}")
    out.emit(doc)
    if not out.json:
        print_suite(out.table_console, doc)
    return exit_code([limit["verdict"] for limit in doc["failed_limits"]])


def print_suite(console, doc: dict[str, Any]) -> None:
    """The table for people, then every case that the gates got wrong, with what they quote."""
    from rich.table import Table

    if not doc["cases"]:
        console.print(*closing(doc), sep="\n", markup=False, highlight=False, soft_wrap=True)
        return
    table = Table(title=f"{doc['suite']}: what the gates catch, and what they refuse for nothing", title_justify="left")
    for name in ("kind", "to reject", "caught", "to accept", "false alarms"):
        table.add_column(name, justify="left" if name == "kind" else "right")
    for kind, n in doc["by_kind"].items():
        table.add_row(kind, *_cells(n["reject"], n["caught"]), *_cells(n["accept"], n["false_alarms"]))
    kinds, keys = doc["by_kind"].values(), ("reject", "caught", "accept", "false_alarms")
    table.add_section()
    table.add_row("all", *(f"{sum(n[key] for n in kinds):,}" for key in keys))
    console.print(table)
    console.print(*closing(doc), sep="\n", markup=False, highlight=False, soft_wrap=True)


def closing(doc: dict[str, Any]) -> list[str]:
    """The wrong ones, the shares, and the limits that don't hold."""
    lines = [f"missed {_case(case)}" for case in doc["missed"]]
    for case in doc["refused"]:
        said = "; ".join(f"{r['gate']}, {r['reason']}: {r['quote']!r}" for r in case["reasons"])
        lines.append(f"refused {_case(case)}\n    {said}")
    lines += [f"struck {case['id']}: {case['why']}" for case in doc["struck"]]
    lines.append(f"{doc['cases']:,} cases: {_percent(doc['caught'])} of those to reject are caught, "
                 f"{_percent(doc['false_alarms'])} of the others are refused.")  # fmt: skip
    for limit in doc["failed_limits"]:
        failed = limit["verdict"] == "failed"
        lines.append(f"FAILED {limit['limit']}" if failed else f"no case to say whether {limit['limit']}")
    return lines


def _case(case: dict[str, Any]) -> str:
    text = " ".join(case["output"].split())
    shown = text if len(text) <= WIDE else text[:WIDE] + " …"
    return f"{case['place']} {case['id']} ({case['kind']}{': ' if case['why'] else ''}{case['why']})\n    {shown}"


def _cells(of: int, n: int) -> tuple[str, str]:
    return (f"{of:,}", f"{n:,}") if of else ("", "")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}%"

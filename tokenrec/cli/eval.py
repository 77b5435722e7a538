"""`tokenrec eval`: noise and hallucination rates, before and after the gates."""

import json
from pathlib import Path
from typing import Any

import click

from tokenrec.cli.output import Out, common_options


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.option("--sample", type=(click.IntRange(1), click.Path(dir_okay=False)), metavar="N FILE",
              help="Draw N of the outputs, all tasks alike, and write them to FILE (JSONL) for people to label.")
@click.option("--completions", type=click.Path(dir_okay=False), metavar="FILE",
              help="Gate the texts of FILE, which another pipeline wrote, instead of the store's.")
@click.option("--verdicts", type=click.Path(dir_okay=False), metavar="FILE",
              help="With --completions: where its verdicts go; beside it, as NAME.verdicts.jsonl, unless said.")
@common_options
def command(
    out: Out, recipe: str, sample: tuple[int, str] | None, completions: str | None, verdicts: str | None
) -> int:
    """Say how much of what was written is noise or hallucination, before and after the gates.

    Rates rest on human labels (eval.labels of the recipe: JSONL lines of task, subject, output and label, which is
    sound, noise or hallucination); without them only what the gates flag is shown, which is no rate. No LM is asked.
    Every task is held to every limit of fail_if: exits 1 when one is broken for sure, 5 when the labels are too few
    to say, 0 when all are kept or with --sample; 2 for bad input.

    --completions FILE needs no store and writes none. A line is {"subject", "task", "output"}: the id of an item or
    user of the recipe's data, a task, and its outputs; plain text is the text of a task that writes nothing else, and
    for other tasks an LM's own words. What an LM got wrong is a verdict (malformed, rejected); a line that is no JSON,
    lacks a key or names a subject or task that the recipe does not have is an error, and then nothing is written. A
    subject's first line counts as its first answer. finish_reason is read where it is given, other keys are not.

    RECIPE may also be a suite (kind: suite): labelled cases that the gates are tried on. It prints what share of the
    cases to reject is caught and what share of the others is refused, and exits 1 when a limit of its fail_if trips,
    5 when there is no case to say so.
    """
    if _is_suite(recipe):
        from tokenrec.cli.suite import try_suite

        return try_suite(out, recipe, {"--sample": sample, "--completions": completions, "--verdicts": verdicts})
    from tokenrec.recipe.load import load_recipe

    loaded = load_recipe(recipe)
    from tokenrec.evidence.evaluate import document
    from tokenrec.evidence.rates import exit_code

    found, written = _gather(loaded, completions, verdicts)
    doc = document(loaded, found) | written
    for note in doc["notes"]:
        out.say(f"note: {note}")
    if sample:
        from tokenrec.evidence.labels import draw

        lines = draw(found.texts.values(), sample[0], found.labels)
        _write(Path(sample[1]), lines)
        open_ = sum(not r["label"] for r in lines)
        out.say(f"wrote {len(lines)} outputs to {sample[1]}, {open_} of them without a label. Set each label to sound, "
                "noise or hallucination, with a reason, and name the file in eval.labels of the recipe")  # fmt: skip
        doc["sample"] = {"file": sample[1], "outputs": len(lines), "without_label": open_}
    out.emit(doc)
    if not out.json:
        print_eval(out.table_console, doc)
        if "verdicts" in doc:
            out.print(f"The verdict on each line: {doc['verdicts']}")
    return 0 if sample else exit_code([limit["verdict"] for limit in doc["failed_limits"]])


def _is_suite(path: str) -> bool:
    """A recipe has no key kind:, so whoever writes one means a suite."""
    from tokenrec.recipe.yamlfile import read_yaml

    return "kind" in read_yaml(Path(path)).value


def _gather(loaded, completions: str | None, verdicts: str | None):
    """The texts to speak of, and what the document says beside their rates."""
    if completions is None:
        from tokenrec.errors import InputError
        from tokenrec.evidence.evaluate import gather

        if verdicts is not None:
            raise InputError("--verdicts goes with --completions FILE. Add that, or take it out")
        return gather(loaded), {}
    from tokenrec.evidence.outside import gate_file

    path = Path(verdicts) if verdicts else Path(completions).with_suffix(".verdicts.jsonl")
    return gate_file(loaded, Path(completions), path), {"verdicts": str(path)}


def _write(path: Path, lines: list[dict[str, Any]]) -> None:
    from tokenrec.errors import InputError

    if path.exists():
        raise InputError(f"{path} exists already, and labels are not overwritten. Name another file")
    if not lines:
        raise InputError("there is no output to label")
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"{path} can't be written: {error.strerror or error}. Name another file") from error


def print_eval(console, doc: dict[str, Any]) -> None:
    """The table for people, and the limits that do not hold."""
    from rich.table import Table

    title = f"{doc['recipe']}: malformed, noise and hallucination, before and after the gates"
    table = Table(title=title, title_justify="left")
    for name in ("task", "texts", "rate", "before", "after", "labels"):
        table.add_column(name, justify="left" if name in ("task", "rate") else "right")
    for t in doc["tasks"]:
        first, final = t["malformed_rate_before"], t["malformed_rate"]
        table.add_row(t["task"], f"{t['n']:,}", "malformed", _share(first), _share(final))
        for kind in ("noise", "hallucination"):
            rate = t[f"{kind}_rate"]
            shown = [_rate(rate[stage]) for stage in ("before", "after")] if rate else ["not judged", "not judged"]
            labels = f"{rate['before']['audited']}, {rate['after']['audited']}" if rate else ""
            table.add_row("", "", kind, *shown, labels, end_section=kind == "hallucination")
    console.print(table)
    for line in closing(doc):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def closing(doc: dict[str, Any]) -> list[str]:
    """What the figures mean, and the limits that are broken or can't be said to hold."""
    place = "the file" if "verdicts" in doc else "the store"
    lines = [
        "Before: first answers; after: accepted ones (malformed: what stayed so). "
        f"95% intervals from human labels, of the texts in {place}."
    ]
    if not doc["labels"]["used"]:
        lines.append(f"No label fits a text of {place}; a flag is no rate. Draw texts to label: --sample 100 FILE.")
    unknown: dict[str, list[str]] = {}
    for limit in doc["failed_limits"]:
        if limit["verdict"] == "failed":
            lines.append(f"FAILED {limit['limit']}: {limit['task']} has {_share(limit['value'])} ({_range(limit)})")
        else:
            unknown.setdefault(limit["limit"], []).append(limit["task"])
    return lines + [f"too few labels to say whether {name}: {', '.join(tasks)}" for name, tasks in unknown.items()]


def _rate(rate: dict) -> str:
    if rate["value"] is not None:
        return f"{_share(rate['value'])} ({_range(rate)})"
    if not rate["flagged"]:
        return "no texts" if rate["flagged"] is None else "not audited"
    return f"flagged {_share(rate['flagged'])}, not audited"


def _range(rate: dict) -> str:
    return "all read" if rate["low"] == rate["high"] else f"{100 * rate['low']:.1f}–{_share(rate['high'])}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}%"

"""`tokenrec eval`: noise and hallucination rates, before and after the gates."""

import json
from pathlib import Path
from typing import Any

import click

from tokenrec.cli.output import Out, common_options

BASES = {  # of a task's rates, in the words of the JSON document
    "sample": "from the audited sample, weighted by the chances it was drawn with, and the gates' scores of all texts.",
    "file_with_p": "from the labels file, weighted by its p.",
    "file": "from the labels file, taken as an even draw: if its texts were picked in another way, it does not hold.",
    None: "no label fits a text of the store, and a flag is no rate. To label a sample: tokenrec audit RECIPE",
}


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.option("--sample", type=(click.IntRange(1), click.Path(dir_okay=False)), metavar="N FILE",
              help="Draw N of the outputs, all tasks alike, and write them to FILE (JSONL) for people to label.")
@click.option("--junit", metavar="FILE", type=click.Path(dir_okay=False),
              help="Write the limits to FILE as JUnit XML, a test case a task and limit; FILE is replaced.")
@click.option("--completions", type=click.Path(dir_okay=False), metavar="FILE",
              help="Gate the texts of FILE, which another pipeline wrote, instead of the store's.")
@click.option("--verdicts", type=click.Path(dir_okay=False), metavar="FILE",
              help="With --completions: where its verdicts go; beside it, as NAME.verdicts.jsonl, unless said.")
@common_options
def command(
    out: Out, recipe: str, sample: tuple[int, str] | None, junit: str | None, completions: str | None,
    verdicts: str | None,
) -> int:  # fmt: skip
    """Say how much of what was written is noise or hallucination, before and after the gates.

    Rates rest on human labels: of the sample that `tokenrec audit` drew, or of a file (eval.labels of the recipe:
    JSONL lines of task, subject, output and label, which is sound, noise or hallucination). Without them only what
    the gates flag is shown, which is no rate. No LM is asked.
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

    found, more = _gather(loaded, completions, verdicts)
    doc = document(loaded, found) | more
    if completions is None:
        doc["previous"] = _previous(loaded, doc)
    if junit:
        _write_junit(Path(junit), doc, loaded.recipe.eval.fail_if)
    for note in doc["notes"]:
        out.say(f"note: {note}")
    if sample:
        from tokenrec.cli.stored import write_lines
        from tokenrec.evidence.labels import draw

        lines = draw(found.texts.values(), sample[0], found.labels)
        write_lines(Path(sample[1]), lines)
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


def _previous(loaded, doc: dict[str, Any]) -> dict[str, Any] | None:
    """What changed since the evaluation before, which this one takes the place of."""
    from tokenrec.evidence.history import compare
    from tokenrec.store.store import open_store

    db = open_store(loaded.project.store)
    try:
        return compare(db, doc)
    finally:
        db.conn.close()


def _write_junit(path: Path, doc: dict[str, Any], fail_if: dict[str, str]) -> None:
    from tokenrec.errors import InputError
    from tokenrec.report.junit import junit

    try:
        path.write_text(junit(doc, fail_if), encoding="utf-8")
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
            table.add_row("", "", kind, *shown, labels, end_section=kind == "hallucination" and not t["open"])
        for name, shares in _open(t["open"]):
            table.add_row("", "", name, *shares, "", end_section=name == "unknown")
    console.print(table)
    beside = _gates(doc)
    if beside.row_count:
        console.print(beside)
    for line in closing(doc) + _more(doc):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _open(found: dict[str, Any] | None) -> list[tuple[str, list[str]]]:
    """Rows of open outputs: what the gates flag, which no label has measured."""
    if not found:
        return []
    stages = [found["before"], found["after"]]
    unsure = ["–" if s["unverifiable"] is None else f"flagged {_share(s['unverifiable'])}, "
              f"{_share(s['claims'])} of claims" for s in stages]  # fmt: skip
    return [("unverifiable", unsure), ("unknown", [_share(s["unknown"]) for s in stages])]


def closing(doc: dict[str, Any]) -> list[str]:
    """What the figures mean, and the limits that are broken or can't be said to hold."""
    place = "the file" if "verdicts" in doc else "the store"
    lines = [
        "Before: first answers; after: accepted ones (malformed: what stayed so). "
        f"95% intervals from human labels, of the texts in {place}."
    ]
    if "verdicts" not in doc or doc["labels"]["used"]:
        lines += _bases(doc)
    else:
        lines.append("No label fits a text of the file; a flag is no rate. Draw texts to label: --sample 100 FILE.")
    unknown: dict[str, list[str]] = {}
    for limit in doc["failed_limits"]:
        if limit["verdict"] == "failed":
            lines.append(f"FAILED {limit['limit']}: {limit['task']} has {_share(limit['value'])} ({_range(limit)})")
        else:
            unknown.setdefault(limit["limit"], []).append(limit["task"])
    return lines + [f"too few labels to say whether {name}: {', '.join(tasks)}" for name, tasks in unknown.items()]


def _gates(doc: dict[str, Any]):
    """The table of the gates beside people, of the rates for which a label or a gate says bad."""
    from rich.table import Table

    table = Table(title="The gates beside people, first answers", title_justify="left")
    for name in ("task", "rate", "labels", "precision", "recall", "F1", "F1 of all bad", "AUROC"):
        table.add_column(name, justify="left" if name in ("task", "rate") else "right")
    for t in doc["tasks"]:
        for kind, q in t["gates"].items():
            if q and (q["bad"] or q["precision"] is not None):
                shares = [_two(q[k]) for k in ("precision", "recall", "f1", "all_positive_f1", "auroc")]
                table.add_row(t["task"], kind, str(q["labels"]), *shares)
    return table


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _more(doc: dict[str, Any]) -> list[str]:
    """The accepted text of each task that looks worst, and what changed since the evaluation before."""
    from tokenrec.cli.stored import visible

    lines = []
    for t in doc["tasks"]:
        for w in t["worst"][:1]:
            said = " ".join(visible(json.dumps(w["output"], ensure_ascii=False)).split())
            judged = f", called {w['label']}" if w["label"] else ""
            lines.append(f"most suspect of {t['task']}'s accepted: {w['completion'][:12]} {said[:160]}{judged}")
    for c in (doc["previous"] or {"changes": []})["changes"]:
        if c["apart"]:
            program = "" if c["same_program"] else ", another prompt or model"
            was, now = (_share(c[when]["value"]) for when in ("was", "now"))
            since = f"since {doc['previous']['at'][:16]}"
            lines.append(f"{since}: {c['task']}'s {c['rate']} went from {was} to {now}, beyond chance{program}")
    return lines


def _bases(doc: dict[str, Any]) -> list[str]:
    """Which labels the rates rest on."""
    said = []
    by: dict[str | None, list[str]] = {}
    for t in doc["tasks"]:
        if t["n"]:
            by.setdefault(t["basis"]["source"], []).append(t["task"])
    for source, words in BASES.items():
        if source in by:
            said.append(f"{', '.join(by[source])}: {words}")
    return said


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

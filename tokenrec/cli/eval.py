"""`tokenrec eval`: noise and hallucination rates, before and after the gates."""

from pathlib import Path
from typing import Any

import click

from tokenrec.cli.output import Out, common_options


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
@click.option("--by", type=click.Choice(["slice", "output", "program"]),
              help="Also show the rates of cold items and sparse users, of each output, or of earlier programs' texts.")
@click.option("--recalibrate", "fit", is_flag=True,
              help="First fit the judges (judge: of the recipe) to the labels, and set the thresholds of factuality:.")
@common_options
def command(
    out: Out, recipe: str, sample: tuple[int, str] | None, junit: str | None, completions: str | None,
    verdicts: str | None, by: str | None, fit: bool,
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

    --by shows a table of parts; --json always has all of them. A part with fewer than 20 labels has no rate, unless
    all of it was read. Where a task has several outputs, the bad one is that with whose name the label's reason begins
    ("taste: not sour").

    --recalibrate fits each judge to the task by its labels and sets the threshold that keeps the promise of
    factuality: {risk, confidence}, in programs/calibrated/. No label has a part in how its own text is judged, so the
    same labels still measure the rates.

    With data.queries the recipe's requests are ranked for as well, by BM25, the encoder and both fused: NDCG, MAP,
    MRR and recall with 95% intervals and paired tests. That much needs no text to be written yet.

    RECIPE may also be a suite (kind: suite): labelled cases that the gates are tried on. It prints what share of the
    cases to reject is caught and what share of the others is refused, and exits 1 when a limit of its fail_if trips,
    5 when there is no case to say so.
    """
    if _is_suite(recipe):
        from tokenrec.cli.suite import try_suite

        given = {"--sample": sample, "--completions": completions, "--verdicts": verdicts, "--by": by,
                 "--recalibrate": fit or None}  # fmt: skip
        return try_suite(out, recipe, given)
    from tokenrec.recipe.load import load_recipe

    loaded = load_recipe(recipe)
    from tokenrec.evidence.evaluate import document
    from tokenrec.evidence.rates import exit_code

    fitted = _recalibrate(loaded, completions) if fit else []
    found, more = _gather(loaded, completions, verdicts)
    doc = document(loaded, found) | more | {"recalibrated": fitted, "queries": _queries(loaded, completions)}
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
        from tokenrec.cli.eval_tables import print_eval

        if doc["tasks"]:
            print_eval(out.table_console, doc, by)
        if doc["queries"]:
            from tokenrec.cli.eval_queries import print_queries

            print_queries(out.table_console, doc)
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
        return gather(loaded, bare=loaded.recipe.data.queries is not None), {}
    from tokenrec.evidence.outside import gate_file

    path = Path(verdicts) if verdicts else Path(completions).with_suffix(".verdicts.jsonl")
    return gate_file(loaded, Path(completions), path), {"verdicts": str(path)}


def _queries(loaded, completions: str | None) -> dict[str, Any] | None:
    """How well the recipe's requests are answered; not when a file's texts are the question."""
    if completions is not None or loaded.recipe.data.queries is None:
        return None
    from tokenrec.evidence.queries import measure_queries

    return measure_queries(loaded)


def _recalibrate(loaded, completions: str | None) -> list[dict[str, Any]]:
    from tokenrec.errors import InputError
    from tokenrec.evidence.evaluate import recalibrate

    if completions is not None:
        raise InputError("--recalibrate needs the store's texts and labels: it doesn't go with --completions")
    return recalibrate(loaded)


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

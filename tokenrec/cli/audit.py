"""`tokenrec audit`: people label a drawn sample of the texts, one by one; it goes on where they stopped."""

import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tokenrec.cli.audit_answers import HELP, KEYS, Answer, Question, from_keys, from_lines
from tokenrec.cli.output import Out, common_options
from tokenrec.errors import InputError


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.option("--n", "most", type=click.IntRange(1), default=100, show_default=True,
              help="How many texts to draw, all tasks alike. A larger number later adds to what was drawn.")
@click.option("--task", metavar="TASK", help="Only this task's texts.")
@click.option("--who", metavar="NAME", help="Who labels; stored with each label. Your login name unless said.")
@click.option("--blind", is_flag=True, help="Hide what the gates found, so that it can't sway the label.")
@click.option("--export", metavar="FILE", type=click.Path(dir_okay=False),
              help="Label nothing: write the labels given so far to FILE, as eval.labels of a recipe reads them.")
@common_options
def command(
    out: Out, recipe: str, most: int, task: str | None, who: str | None, blind: bool, export: str | None
) -> None:  # fmt: skip
    """Label a sample of what was written: record and text side by side, one key a text.

    The sample is drawn by task, gate and score, before any label is seen, and the chance of each text is stored:
    `tokenrec eval` weighs by it. Keys: g good, n noise, h hallucination (both ask why), s skip, u undo, q quit.
    Each label is stored at once; the next call goes on with what has none. The sentences of a text are numbered: after
    h you are asked which of them are unsupported. In a task with several outputs, begin the reason with the name of the
    bad one ("taste: not sour"); where it is not the text, the sentence to name is 0.

    Without a terminal, lines are read from stdin: a key, and after n or h the reason ("h says it is vegan"); sentences
    stand before the reason, with a colon and a space ("h 1,3: says it is vegan"). What the gates suspect is marked,
    which can sway a label: --blind hides it. No LM is asked. Exits 2 for bad input, 3 when interrupted.
    """
    from tokenrec.recipe.load import load_recipe

    loaded = load_recipe(recipe)
    if task is not None and task not in loaded.recipe.tasks:
        from tokenrec.recipe.explain import nearest

        raise InputError(f"{task} is no task of {recipe}. {nearest(task, list(loaded.recipe.tasks))}")
    from tokenrec.evidence.evaluate import gather
    from tokenrec.evidence.sampling import draw
    from tokenrec.store.audits import labels_of, skipped_of
    from tokenrec.store.store import open_store

    found = gather(loaded)
    for note in found.notes:
        out.say(f"note: {note}")
    name = loaded.recipe.name
    db = open_store(loaded.project.store)
    try:
        drawn = draw(db, name, [t for t in found.texts.values() if task in (None, t.task)], most)
        if not drawn:
            raise InputError(f"{task or name} has no text to label. run: tokenrec compile {recipe}")
        given = 0
        if not export:
            labels = labels_of(db, name)
            todo = [d for d in drawn if (d.text.task, *d.text.key) not in labels]
            given = _session(out, db, loaded.recipe, todo, len(drawn), who or _login(), blind)
        labels = labels_of(db, name)
        skipped = set().union(*(skipped_of(db, name, t) for t in loaded.recipe.tasks))
    finally:
        db.conn.close()
    doc = document(name, drawn, labels, skipped, given)
    if export:
        from tokenrec.cli.stored import write_lines

        lines = lines_of(drawn, labels)
        if not lines:
            raise InputError("nothing drawn has a label yet. run the command without --export to label")
        write_lines(Path(export), lines)
        doc["export"] = export
        out.print(f"wrote {len(lines)} labels to {export}. Name the file in eval.labels of the recipe")
    out.emit(doc)
    if not export:
        left = doc["drawn"] - doc["labelled"]
        rest = f"{left} to go: run the command again" if left else f"for the rates: tokenrec eval {recipe}"
        gone = f", {doc['skipped']} were skipped" if doc["skipped"] else ""
        out.print(f"{doc['labelled']} of {doc['drawn']} drawn texts have a label{gone}. {rest}")


def _login() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no name for this user id
        return "unknown"


def _session(out: Out, db, recipe, todo: list, total: int, who: str, blind: bool) -> int:
    """Ask for each text until there is none, or enough; how many labels were given."""
    if not todo:
        return 0
    from tokenrec.cli.audit_screen import show
    from tokenrec.store.audits import findings_of

    terminal = sys.stdin.isatty()
    ask = from_keys if terminal else from_lines(sys.stdin, len(todo))
    started, done = time.monotonic(), total - len(todo)

    def present(place: int, left: int) -> None:
        text = todo[place].text
        if terminal or not out.quiet:
            pace = (time.monotonic() - started) / place if place else 0
            spent = f" · {pace:.0f} s a text, about {left * pace / 60:.0f} min left" if terminal and place else ""
            findings = [] if blind else findings_of(db, text.completion_id)
            at = f"{done + place + 1} of {total}{spent}"
            asked = Question.of(text, recipe.tasks[text.task])
            numbered = asked.places if asked.several else None
            show(text, findings, at, HELP if terminal else "", clear=terminal, sentences=numbered)

    return label_all(db, recipe, [d.text for d in todo], who, blind, ask, present)


def label_all(
    db, recipe, texts: list, who: str, blind: bool, ask: Callable[[Question], Answer],
    present: Callable[[int, int], None],
) -> int:  # fmt: skip
    """Store what `ask` says of each text that is `present`ed; how many labels stand in the end."""
    from tokenrec.store.audits import drop_label, save_audits, save_skip

    trail: list[bool] = []  # of each text gone by: was it labelled
    while (place := len(trail)) < len(texts):
        text = texts[place]
        present(place, len(texts) - place)
        question = Question.of(text, recipe.tasks[text.task])
        key, reason, numbers = ask(question)
        if key == "q":
            break
        if key == "u":
            if trail:
                trail.pop()
                before = texts[place - 1]
                drop_label(db, recipe.name, before.task, before.subject, before.output)
            continue
        row = {"task": text.task, "subject": text.subject, "output": text.output, "completion_id": text.completion_id,
               "who": who}  # fmt: skip
        if key in KEYS:
            quotes = question.unsupported(numbers) if key == "h" else None
            row |= {"label": KEYS[key], "reason": reason, "unsupported": quotes, "blind": blind}
            save_audits(db, recipe.name, [row])
        else:
            save_skip(db, recipe.name, row)
        trail.append(key in KEYS)
    return sum(trail)


def document(recipe: str, drawn: list, labels: dict, skipped: set[str], given: int) -> dict[str, Any]:
    """The JSON document of `tokenrec audit --json`. skipped: audit ids."""
    from tokenrec.store.audits import audit_id

    rows = Counter((d.text.task, d.stratum, d.pi) for d in drawn)
    done = Counter((d.text.task, d.stratum) for d in drawn if (d.text.task, *d.text.key) in labels)
    gone = Counter((t.task, d.stratum) for d in drawn if (t := d.text)
                   and audit_id(recipe, t.task, t.subject, t.output) in skipped)  # fmt: skip
    tasks: dict[str, list] = {}
    for (task, stratum, pi), n in sorted(rows.items()):
        tasks.setdefault(task, []).append({
            "stratum": stratum, "texts": round(n / pi), "drawn": n, "pi": pi, "labelled": done[task, stratum],
            "skipped": gone[task, stratum],
        })  # fmt: skip
    return {
        "kind": "audit",
        "schema_version": 1,
        "recipe": recipe,
        "drawn": len(drawn),
        "labelled": sum(done.values()),
        "skipped": sum(gone.values()),
        "given": given,
        "tasks": [{"task": task, "strata": strata} for task, strata in tasks.items()],
        "export": None,
    }


def lines_of(drawn: list, labels: dict) -> list[dict[str, Any]]:
    """The labelled texts as lines of a labels file. p: the chance to be drawn, and then to be labelled so far."""
    strata = Counter((d.text.task, d.stratum) for d in drawn)
    known = [(d, labels[key]) for d in drawn if (key := (d.text.task, *d.text.key)) in labels]
    done = Counter((d.text.task, d.stratum) for d, _ in known)
    return [
        {
            "task": d.text.task, "subject": d.text.subject, "name": d.text.name, "record": d.text.record,
            "output": d.text.output, "label": label["label"], "reason": label["reason"] or "",
            "who": label["who"] or "",
            **{key: label[key] for key in ("unsupported", "blind") if label[key] is not None},
            "p": d.pi * done[at] / strata[at],
        }
        for d, label in known if (at := (d.text.task, d.stratum))
    ]  # fmt: skip

"""`tokenrec audit`: people label a drawn sample of the texts, one by one; it goes on where they stopped."""

import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tokenrec.cli.output import Out, common_options
from tokenrec.errors import InputError

KEYS = {"g": "sound", "n": "noise", "h": "hallucination"}
HELP = "g good · n noise · h hallucination · s skip · u undo · q quit"


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
    Each label is stored at once; the next call goes on with what has none. Without a terminal, lines are read from
    stdin: a key, and after n or h the reason ("h says it is vegan"). What the gates suspect is marked, which can
    sway a label: --blind hides it. No LM is asked. Exits 2 for bad input, 3 when interrupted.
    """
    from tokenrec.recipe.load import load_recipe

    loaded = load_recipe(recipe)
    if task is not None and task not in loaded.recipe.tasks:
        from tokenrec.recipe.explain import nearest

        raise InputError(f"{task} is no task of {recipe}. {nearest(task, list(loaded.recipe.tasks))}")
    from tokenrec.evidence.evaluate import gather
    from tokenrec.evidence.sampling import draw
    from tokenrec.store.audits import labels_of
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
            given = _session(out, db, name, todo, len(drawn), who or _login(), blind)
        labels = labels_of(db, name)
    finally:
        db.conn.close()
    doc = document(name, drawn, labels, given)
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
        out.print(f"{doc['labelled']} of {doc['drawn']} drawn texts have a label. {rest}")


def _login() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no name for this user id
        return "unknown"


def _session(out: Out, db, recipe: str, todo: list, total: int, who: str, blind: bool) -> int:
    """Ask for each text until there is none, or enough; how many labels were given."""
    if not todo:
        return 0
    from tokenrec.cli.audit_screen import show
    from tokenrec.store.audits import findings_of

    terminal = sys.stdin.isatty()
    ask = _from_keys if terminal else _from_lines(sys.stdin, len(todo))
    started, done = time.monotonic(), total - len(todo)

    def present(place: int, left: int) -> None:
        text = todo[place].text
        if terminal or not out.quiet:
            pace = (time.monotonic() - started) / place if place else 0
            spent = f" · {pace:.0f} s a text, about {left * pace / 60:.0f} min left" if terminal and place else ""
            findings = [] if blind else findings_of(db, text.completion_id)
            show(text, findings, f"{done + place + 1} of {total}{spent}", HELP if terminal else "", clear=terminal)

    return label_all(db, recipe, [d.text for d in todo], who, ask, present)


def label_all(
    db, recipe: str, texts: list, who: str, ask: Callable[[], tuple[str, str]], present: Callable[[int, int], None]
) -> int:
    """Store what `ask` says, (key, reason), of each text that is `present`ed; how many labels stand in the end."""
    from tokenrec.store.audits import drop_label, save_audits

    trail: list[bool] = []  # of each text gone by: was it labelled
    while (place := len(trail)) < len(texts):
        text = texts[place]
        present(place, len(texts) - place)
        key, reason = ask()
        if key == "q":
            break
        if key == "u":
            if trail and trail.pop():
                before = texts[place - 1]
                drop_label(db, recipe, before.task, before.subject, before.output)
            continue
        if key in KEYS:
            save_audits(db, recipe, [{
                "task": text.task, "subject": text.subject, "output": text.output, "label": KEYS[key],
                "completion_id": text.completion_id, "reason": reason, "who": who,
            }])  # fmt: skip
        trail.append(key in KEYS)
    return sum(trail)


def _from_keys() -> tuple[str, str]:
    """One key press, and the reason where it needs one."""
    while True:
        try:
            key = click.getchar().lower()
        except EOFError:  # Ctrl-D
            return "q", ""
        if key in ("n", "h"):
            reason = click.prompt(f"{KEYS[key]}, because", default="", show_default=False, err=True).strip()
            if reason:
                return key, reason
            click.echo(f"no reason, no label. {HELP}", err=True)
        elif key in ("g", "s", "u", "q"):
            return key, ""


def _from_lines(stdin, texts: int) -> Callable[[], tuple[str, str]]:
    """Answers from lines; the end of them is q. Raises InputError for no line at all, and for one that is no answer."""
    count = 0

    def ask() -> tuple[str, str]:
        nonlocal count
        try:
            line = stdin.readline()
        except UnicodeDecodeError as error:
            raise InputError(f"stdin:{count + 1}: not UTF-8. What came before is stored") from error
        if not line:
            if not count:
                raise InputError(
                    f"{texts} texts are drawn, but stdin is no terminal and has no lines. Run this in a terminal, or "
                    'give a line a text on stdin: g, "n REASON", "h REASON", s, u or q'
                )
            return "q", ""
        count += 1
        key, _, reason = line.strip().partition(" ")
        key, reason = key.lower(), reason.strip()
        if key not in (*KEYS, "s", "u", "q"):
            raise InputError(f"stdin:{count}: {key!r} is no key. What came before is stored. keys: {HELP}")
        if key in ("n", "h") and not reason:
            raise InputError(f'stdin:{count}: say why: "{key} REASON". What came before is stored')
        return key, reason

    return ask


def document(recipe: str, drawn: list, labels: dict, given: int) -> dict[str, Any]:
    """The JSON document of `tokenrec audit --json`."""
    rows = Counter((d.text.task, d.stratum, d.pi) for d in drawn)
    done = Counter((d.text.task, d.stratum) for d in drawn if (d.text.task, *d.text.key) in labels)
    tasks: dict[str, list] = {}
    for (task, stratum, pi), n in sorted(rows.items()):
        tasks.setdefault(task, []).append({
            "stratum": stratum, "texts": round(n / pi), "drawn": n, "pi": pi, "labelled": done[task, stratum],
        })  # fmt: skip
    return {
        "kind": "audit",
        "schema_version": 1,
        "recipe": recipe,
        "drawn": len(drawn),
        "labelled": sum(done.values()),
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
            "who": label["who"] or "", "p": d.pi * done[at] / strata[at],
        }
        for d, label in known if (at := (d.text.task, d.stratum))
    ]  # fmt: skip

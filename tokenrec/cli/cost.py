"""`tokenrec cost`: what was spent, by task, program, model and outcome."""

from collections import defaultdict
from typing import Any

import click

from tokenrec.cli.output import Out, common_options
from tokenrec.cli.stored import PAID, find_store, money, store_option
from tokenrec.errors import InputError

STATES = ("accepted", "rejected", "malformed", "agreement", "unjudged", "failed", "unstored")
SEARCH = "search"  # the purpose whose calls leave no completions
USAGE = ("calls", "prompt_tokens", "completion_tokens")
ROUNDING = 1e-9  # dollars that sums of the same floats may differ by


@click.command()
@click.argument("recipe", metavar="[RECIPE]", required=False)
@store_option
@common_options
def command(out: Out, recipe: str | None, store_path: str | None) -> None:
    """Say what LM calls were made and what they cost, by task, program, model and outcome.

    Of one recipe's runs, or without RECIPE of all runs in the store of the working folder. Retries and repairs are
    counted. A price that is not known is shown as unknown, never as 0. Nothing is written and no LM is asked.
    """
    db, _, loaded = find_store(recipe, store_path)
    try:
        doc = document(db, loaded.recipe.name if loaded else None)
    finally:
        db.conn.close()
    if recipe and not doc["rows"] and not doc["purposes"]:
        raise InputError(f"the store has nothing of {doc['recipe']}. run: tokenrec compile {recipe}")
    out.emit(doc)
    if not out.json:
        _print(out.table_console, doc)


def document(db, recipe: str | None = None) -> dict[str, Any]:
    """The JSON document of `tokenrec cost --json`; every recipe's when none is named.

    Rows come from the stored answers, totals from the spend table. What was paid and left no answer is a row of its
    own (failed, unstored); what was stored by a run that was killed before it wrote its spend is `unrecorded`.
    """
    rows: dict[tuple, dict] = defaultdict(_nothing)  # recipe, task, program, model, outcome
    paid: dict[tuple, dict] = defaultdict(_nothing)  # recipe, run, task, model: as the spend table has it
    kept: dict[tuple, dict] = defaultdict(_nothing)  # the same: as the answers have it
    programs: dict[tuple, set] = defaultdict(set)
    failing: dict[tuple, set] = defaultdict(set)
    purposes: dict[tuple, dict] = defaultdict(_nothing)
    for of, run, task, model, purpose, *usage in db.execute(_SPEND):
        if recipe in (None, of):
            _add(purposes[purpose, of, task, model], usage)
            if purpose != SEARCH:
                _add(paid[of, run, task, model], usage)
    for of, run, task, lm_id, program, outcome, answers, *usage in db.execute(_ANSWERS):
        if recipe in (None, of):
            group = (of, run, task, _model(lm_id))
            programs[group].add(program)
            _add(kept[group], usage)
            _add(rows[of, task, program, _model(lm_id), outcome], usage, answers)
    for of, run, task, lm_id, program, answers in db.execute(_FAILURES):
        if recipe in (None, of):
            failing[of, run, task, _model(lm_id)].add(program)
            _add(rows[of, task, program, _model(lm_id), "failed"], (0, 0, 0, 0.0), answers)
    unrecorded = _nothing()
    for group in paid.keys() | kept.keys():
        of, _, task, model = group
        more, less = _difference(paid[group], kept[group])
        if more:
            outcome, whose = ("failed", failing[group]) if failing[group] else ("unstored", programs[group])
            _add(rows[of, task, next(iter(whose)) if len(whose) == 1 else None, model, outcome], more)
        if less:
            _add(unrecorded, less)
    total = _nothing()
    for usage in purposes.values():
        _add(total, [usage[k] for k in (*USAGE, "cost_usd")])
    names = ("recipe", "task", "program", "model", "outcome")
    order = sorted(rows, key=lambda k: [STATES.index(v) if i == 4 else v or "" for i, v in enumerate(k)])
    doc = {
        "kind": "cost",
        "schema_version": 1,
        "recipe": recipe,
        "rows": [{**dict(zip(names, key, strict=True)), **rows[key]} for key in order],
        "purposes": [
            {**dict(zip(("purpose", "recipe", "task", "model"), key, strict=True)), **_paid(purposes[key])}
            for key in sorted(purposes, key=lambda k: [v or "" for v in k])
        ],
        "total": _paid(total),
        "unrecorded": _paid(unrecorded),
    }  # fmt: skip
    return {**doc, "notes": notes(doc)}


_SPEND = (
    f"select r.recipe, s.run, s.task, s.lm_id, s.purpose, {PAID} from spend s left join runs r on r.run = s.run"
    " group by 1, 2, 3, 4, 5"
)
_WHOSE = " left join runs r on r.run = x.run left join programs p on p.program_id = x.program_id group by 1, 2, 3, 4, 5"
_ANSWERS = (
    "select coalesce(r.recipe, p.recipe), x.run, x.task, x.lm_id, x.program_id, "
    " coalesce(x.state, case when x.gate_id is null then 'unjudged' else 'agreement' end),"
    f" count(*), {PAID} from completions x{_WHOSE}, 6"
)
_FAILURES = (
    "select coalesce(r.recipe, p.recipe), x.run, x.task, coalesce(x.lm_id, ''), x.program_id, count(*)"
    f" from failures x{_WHOSE}"
)


def _model(lm_id: str) -> str:
    """The model of a completion's LM id, without the hash of its decode parameters."""
    return lm_id.rpartition("#")[0] or lm_id


def _nothing() -> dict[str, Any]:
    return {"answers": 0, **dict.fromkeys(USAGE, 0), "cost_usd": 0.0}


def _add(to: dict[str, Any], usage, answers: int = 0) -> None:
    """Add (calls, prompt tokens, completion tokens, dollars); one unknown price makes the sum unknown."""
    *counts, usd = usage
    to["answers"] += answers
    for name, n in zip(USAGE, counts, strict=True):
        to[name] += n
    to["cost_usd"] = None if usd is None or to["cost_usd"] is None else to["cost_usd"] + usd


def _difference(paid: dict[str, Any], kept: dict[str, Any]) -> tuple[list | None, list | None]:
    """(paid and not kept, kept and not paid), each None where there is nothing of it."""
    counts = [paid[n] - kept[n] for n in USAGE]
    usd = None if paid["cost_usd"] is None or kept["cost_usd"] is None else paid["cost_usd"] - kept["cost_usd"]
    found = []
    for sign in (1, -1):
        part = [max(0, sign * n) for n in counts]
        dollars = None if usd is None else sign * usd if sign * usd > ROUNDING else 0.0
        found.append([*part, dollars] if any(part) or dollars else None)
    return found[0], found[1]


def _paid(usage: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in usage.items() if k != "answers"}


def notes(doc: dict[str, Any]) -> list[str]:
    """Where the rows can't add up to the totals, and what two of the outcomes mean."""
    said = []
    if searched := sum(p["calls"] for p in doc["purposes"] if p["purpose"] == SEARCH):
        said.append(f"{searched:,} calls of prompt searches are in the totals only: a search keeps scores, no answers.")
    if less := doc["unrecorded"]["calls"]:
        said.append(f"{less:,} calls are in the rows and not in the totals: their runs were killed before they wrote "
                    "down what they had spent.")  # fmt: skip
    if lost := sum(r["calls"] for r in doc["rows"] if r["outcome"] == "unstored"):
        said.append(f"{lost:,} calls were paid and left no answer (unstored): stopped in the middle of a repair, "
                    "answered twice, or removed since.")  # fmt: skip
    if any(r["outcome"] == "failed" and r["program"] is None for r in doc["rows"]):
        said.append("Calls that failed while several programs wrote in one run can't be told apart by program.")
    if doc["total"]["cost_usd"] is None:
        said.append("The cost is unknown: a model has no price. Write price: under it in tokenrec.yaml.")
    return said


def _print(console, doc: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    several = len({r["recipe"] for r in (*doc["rows"], *doc["purposes"])}) > 1
    say = {"markup": False, "highlight": False, "soft_wrap": True}

    def table(names: list[str], lines: list[list[str]]) -> None:
        made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        for name in names:
            right = name in ("answers", "calls", "LM tokens", "cost")
            made.add_column(name, justify="right" if right else "left", no_wrap=right, overflow="fold")
        for line in lines:
            made.add_row(*[Text(cell) for cell in line])
        console.print(made)

    def spent(u: dict) -> list[str]:
        tokens = u["prompt_tokens"] + u["completion_tokens"]
        return [f"{u['calls']:,}", f"{tokens:,}", money(u["cost_usd"])]

    whose = ["recipe"] if several else []
    console.print("By outcome, from the stored answers", **say)
    table([*whose, "task", "program", "model", "outcome", "answers", "calls", "LM tokens", "cost"], [
        [*[r["recipe"] or "" for _ in whose], r["task"], (r["program"] or "several")[:8], r["model"], r["outcome"],
         f"{r['answers']:,}", *spent(r)] for r in doc["rows"]
    ])  # fmt: skip
    console.print("\nBy purpose, from the spend table", **say)
    table([*whose, "purpose", "task", "model", "calls", "LM tokens", "cost"], [
        *[[*[p["recipe"] or "" for _ in whose], p["purpose"], p["task"] or "", p["model"] or "", *spent(p)]
          for p in doc["purposes"]],
        [*["" for _ in whose], "total", "", "", *spent(doc["total"])],
    ])  # fmt: skip
    for note in doc["notes"]:
        console.print(note, **say)

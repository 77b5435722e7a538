"""The tables of `tokenrec eval`: rates, parts of them, the gates beside people, and what the figures mean."""

import json
from typing import Any

BASES = {  # of a task's rates, in the words of the JSON document
    "sample": "from the audited sample, weighted by the chances it was drawn with, and the gates' scores of all texts.",
    "file_with_p": "from the labels file, weighted by its p.",
    "file": "from the labels file, taken as an even draw: if its texts were picked in another way, it does not hold.",
    None: "no label fits a text of the store, and a flag is no rate. To label a sample: tokenrec audit RECIPE",
}


def print_eval(console, doc: dict[str, Any], by: str | None = None) -> None:
    """The table for people, and the limits that do not hold."""
    title = f"{doc['recipe']}: malformed, noise and hallucination, before and after the gates"
    table = _table(title, "task", "texts")
    for t in doc["tasks"]:
        first, final = t["malformed_rate_before"], t["malformed_rate"]
        table.add_row(t["task"], f"{t['n']:,}", "malformed", _share(first), _share(final))
        _add_rates(table, t, "", "")
        for name, shares in _open(t["open"]):
            table.add_row("", "", name, *shares, "", end_section=name == "unknown")
    console.print(table)
    if by:
        print_parts(console, doc, by)
    beside = _gates(doc)
    if beside.row_count:
        console.print(beside)
    for line in closing(doc) + _more(doc):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_parts(console, doc: dict[str, Any], by: str) -> None:
    """The rates of parts of the tasks, by slice, output or program."""
    table = _table(f"{doc['recipe']}: by {by}", "task", by, "texts")
    for t in doc["tasks"]:
        rows = {"slice": t["by_slice"], "output": t["by_output"], "program": _programs(t)}[by]
        for n, row in enumerate(rows):
            _add_rates(table, row, t["task"] if not n else "", row["name"], _both(row["texts"]), least=doc["least"])
    for row in doc["by_type"] if by == "output" else ():
        _add_rates(table, row, "all", f"type {row['name']}", _both(row["texts"]), least=doc["least"])
    if table.row_count:
        table.caption = f"too few: under {doc['least']} labels, and not all read"
        console.print(table)
        return
    none = "no text of an earlier program has a label" if by == "program" else "there is no text"
    console.print(f"by {by}: {none}", highlight=False)


def _programs(task: dict[str, Any]) -> list[dict[str, Any]]:
    """The present program, then the earlier ones: their labels are never put together."""
    if not task["program"] or not task["earlier_programs"]:
        return []
    now = {"name": f"{task['program']['program_id'][:8]} now", **task}
    then = [p | {"name": f"{p['program_id'][:8]} {p['created'][:10]}"} for p in task["earlier_programs"]]
    return [now, *then]


def _open(found: dict[str, Any] | None) -> list[tuple[str, list[str]]]:
    """Rows of open outputs: what the gates flag, which no label has measured."""
    if not found:
        return []
    stages = [found["before"], found["after"]]
    rows = {"unverifiable": "unverifiable", "of its claims": "claims", "unknown": "unknown"}
    flagged = lambda share: "–" if share is None else f"flagged {_share(share)}"  # noqa: E731
    return [(row, [flagged(s[key]) for s in stages]) for row, key in rows.items()]


def _table(title: str, *columns: str):
    from rich.table import Table

    table = Table(title=title, title_justify="left", caption_justify="left")
    for name in (*columns, "rate", "before", "after", "labels"):
        right = name in ("texts", "before", "after", "labels")
        table.add_column(name, justify="right" if right else "left", no_wrap=name not in ("before", "after"))
    return table


def _add_rates(table, row: dict[str, Any], *first: str, least: int = 0) -> None:
    """A line for noise and one for hallucination; `first`: what stands in the columns before, once."""
    for kind in ("noise", "hallucination"):
        rate = row[f"{kind}_rate"]
        shown = [_rate(rate[stage], least) for stage in ("before", "after")] if rate else ["not judged", "not judged"]
        labels = _both({stage: rate[stage]["audited"] for stage in ("before", "after")}) if rate else ""
        table.add_row(*first, kind, *shown, labels, end_section=kind == "hallucination")
        first = ("",) * len(first)


def _both(n: dict[str, int]) -> str:
    return f"{n['before']:,}, {n['after']:,}"


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
    lines += [_promise(t["task"], p) for t in doc["tasks"] for p in t["promises"]] + _fitted(doc["recalibrated"])
    return lines + [f"too few labels to say whether {name}: {', '.join(tasks)}" for name, tasks in unknown.items()]


def _promise(task: str, p: dict[str, Any]) -> str:
    stale = f" (stale: {p['stale']})" if p["stale"] else ""
    unmet = "" if p["promised"] else f"; on_unmet: {p['on_unmet']}"
    return f"{task}.{p['output']} {'promises' if p['promised'] else 'promises nothing'}: {p['said']}{stale}{unmet}"


def _fitted(rows: list[dict[str, Any]]) -> list[str]:
    """What --recalibrate has brought."""
    lines = []
    for r in rows:
        if g := r["gain"]:
            rise = f"{g['rise']:+.3f} ({g['rise_low']:+.3f} to {g['rise_high']:+.3f})"
            lines.append(
                f"{r['task']}.{r['output']}: {r['judge']} fitted to {r['labels']} labelled texts ({g['unsupported']} "
                f"of {g['sentences']} sentences unsupported). On labels that the fit has not seen: AUROC "
                f"{g['auroc_before']:.3f} to {g['auroc_after']:.3f}, {rise}; Brier {g['brier_before']:.3f} to "
                f"{g['brier_after']:.3f}. Written to {r['file']}"
            )
        else:
            lines.append(f"{r['task']}.{r['output']}: {r['labels']} labelled texts, none of them unsupported or none "
                         f"supported: nothing to fit. Written to {r['file']}")  # fmt: skip
    return lines


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
    return said + [line for t in doc["tasks"] if (line := _labelled(t["task"], t["basis"]))] + _agreement(doc)


def _labelled(task: str, basis: dict[str, Any]) -> str:
    """How the labels of a task were given."""
    given = [f"{basis['blind']} blind"] * bool(basis["blind"])
    given += [f"{basis['in_sight']} in sight of the gates' marks"] * bool(basis["in_sight"])
    given += [f"{basis['skipped']} texts were skipped"] * bool(basis["skipped"])
    return f"{task}: {basis['labelled']} labels: {', '.join(given)}." if given else ""


def _agreement(doc: dict[str, Any]) -> list[str]:
    found = doc["agreement"]
    if not found:
        return []
    from tokenrec.evidence.agreement import LEAST

    kappa = "too few for kappa" if found["doubled"] < LEAST else "all one label, so no kappa"
    if found["kappa"] is not None:
        kappa = f"kappa {found['kappa']:.2f} ({found['low']:.2f} to {found['high']:.2f})"
    return [f"Two people labelled {found['doubled']} texts and agree on {found['agree']}: {kappa}."]


def _rate(rate: dict, least: int = 0) -> str:
    if rate["value"] is not None:
        return f"{_share(rate['value'])} ({_range(rate)})"
    if rate["low"] is not None:
        return f"{_range(rate)}, not all said"
    if 0 < rate["audited"] < least:
        return "too few"
    if least and not rate["audited"]:
        return "–"
    if not rate["flagged"]:
        return "no texts" if rate["flagged"] is None else "not audited"
    return f"flagged {_share(rate['flagged'])}, not audited"


def _range(rate: dict) -> str:
    return "all read" if rate["low"] == rate["high"] else f"{100 * rate['low']:.1f}–{_share(rate['high'])}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}%"

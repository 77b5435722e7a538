"""The compile report for people: what was written, the arms, the prompt leaderboard."""

from typing import Any

from rich.console import Console
from rich.table import Table

WORDS = {"helps": "bold green", "hurts": "bold red", "no_effect": "yellow", "too_little_data": "dim"}


def print_compile(console: Console, doc: dict[str, Any]) -> None:
    metric, slice = doc["objective"]["metric"], doc["objective"]["slice"]
    mark = "  [bold]SIMULATED users[/bold]" if doc.get("simulated") else ""
    console.print()
    console.print(_tasks(doc, mark))
    console.print(_arms(doc, metric, slice, mark))
    console.print(_leaderboard(doc, metric, slice, mark))
    for line in summary(doc):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def summary(doc: dict[str, Any]) -> list[str]:
    """The closing lines: what was searched, what helped, what it cost, and what could not have been seen."""
    metric = doc["objective"]["metric"]
    lines = []
    for s in doc["searches"]:
        scores = ", ".join(f"{x:.3f}" for x in s["scores"])
        against = (
            f" (completion scores {scores}; incumbent {s['incumbent_score']:.3f})"
            if scores and s["incumbent_score"]
            else ""
        )
        lines.append(f"search {s['task']}: {s['note']}{against}")
    helped = [r["task"] for r in doc["leaderboard"] if r["verdict"] == "helps"]
    if helped:
        lines.append(f"Helped ranking: {', '.join(helped)}.")
    else:
        lines.append("No task's text is proved to help ranking on this data.")
    least = doc["smallest_detectable_lift"]
    if least is not None:
        lines.append(
            f"The smallest lift this data could show is {least:.4f} {metric} "
            f"(80% power, {doc['lists']['n_test']:,} test lists; an upper guess)."
        )
    lines.append(
        "Intervals cover users and items; they do not cover a text's part as a distractor, nor writing the texts anew."
    )
    cost = "unknown" if doc["cost_usd"] is None else f"${doc['cost_usd']:.2f}"
    calls = f"{doc['lm_calls']:,} LM calls" if doc["lm_calls"] else "0 LM calls: everything was in the store"
    lines.append(
        f"{calls}, {doc['prompt_tokens'] + doc['completion_tokens']:,} LM tokens, cost {cost}, {doc['seconds']:.0f} s. "
        f"On this data test was read {doc['looks']['test_reads']} time(s), tune-B {doc['looks']['tune_b']}."
    )
    return lines


def _tasks(doc: dict, mark: str) -> Table:
    table = Table(title=f"What was written{mark}", title_justify="left")
    for name, justify in (("task", "left"), ("texts", "right"), ("accepted", "right"), ("rejected", "right"),
                          ("malformed", "right"), ("failed", "right"), ("rejected for", "left")):  # fmt: skip
        table.add_column(name, justify=justify)
    for t in doc["tasks"]:
        reasons = sorted(t["reject_reasons"].items(), key=lambda r: -r[1])
        table.add_row(
            t["task"], f"{t['generated']:,}", f"{t['accepted']:,}", f"{t['rejected']:,}", f"{t['malformed']:,}",
            f"{t['failed']:,}", ", ".join(f"{g} {n}" for g, n in reasons[:4]),
        )  # fmt: skip
    return table


def _arms(doc: dict, metric: str, slice: str, mark: str) -> Table:
    table = Table(title=f"Arms on test, {metric}, slice {slice}{mark}", title_justify="left")
    slices = ["cold_items", "sparse_users", "warm"]
    table.add_column("arm")
    table.add_column(metric, justify="right")
    table.add_column("95% interval", justify="right")
    for s in slices:
        n = next((a["n"] for a in doc["arms"] if a["slice"] == s and a["metric"] == metric), 0)
        table.add_column(f"{s} (n={n:,})", justify="right")
    by = {(a["arm"], a["slice"]): a for a in doc["arms"] if a["metric"] == metric}
    order = list(dict.fromkeys(a["arm"] for a in doc["arms"]))
    for arm in order:
        a = by[arm, slice]
        low = f"{a['low']:.4f} to {a['high']:.4f}" if a["low"] is not None else ""
        table.add_row(arm, _number(a["value"]), low, *[_few(by.get((arm, s))) for s in slices])
    return table


def _leaderboard(doc: dict, metric: str, slice: str, mark: str) -> Table:
    table = Table(
        title=f"Prompt leaderboard: lift in {metric} over raw_text, slice {slice}{mark}", title_justify="left"
    )
    for name in ("task", "lift", "adjusted 95%", "p", "when left out", "over placebo", "calls", "verdict"):
        table.add_column(name, justify="left" if name in ("task", "verdict") else "right")
    calls = {t["task"]: t for t in doc["tasks"]}
    for r in doc["leaderboard"]:
        table.add_row(
            r["task"], _signed(r["lift"]), f"{_signed(r['low'])} to {_signed(r['high'])}", f"{r['p_adjusted']:.3f}",
            _signed(r["lift_left_out"]), _signed(r["lift_over_placebo"]), f"{calls[r['task']]['generated']:,}",
            f"[{WORDS[r['verdict']]}]{r['verdict']}[/]",
        )  # fmt: skip
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _few(arm: dict | None) -> str:
    if arm is None or arm["value"] is None:
        return "–"
    return f"{arm['value']:.4f}" if arm["n"] >= 20 else "too few to say"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.4f}"

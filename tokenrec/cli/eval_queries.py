"""The table of `tokenrec eval` for requests in words."""

from typing import Any


def print_queries(console, doc: dict[str, Any]) -> None:
    """Every system's means, the pairs that differ, and what the figures rest on."""
    from rich.table import Table

    found = doc["queries"]
    metrics = list(dict.fromkeys(row["metric"] for row in found["systems"]))
    table = Table(title=f"{doc['recipe']}: {found['n']:,} requests of {found['file']}", title_justify="left")
    table.add_column("system")
    for metric in metrics:
        table.add_column(metric, justify="right")
    for system in dict.fromkeys(row["system"] for row in found["systems"]):
        values = {row["metric"]: row for row in found["systems"] if row["system"] == system}
        table.add_row(system, *[_mean(values[m]) for m in metrics])
    console.print(table)
    for line in closing(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def closing(found: dict[str, Any]) -> list[str]:
    single = ", one relevant item each: what nobody judged counts as not relevant" if found["single_relevant"] else ""
    lines = [f"95% intervals over requests; {found['judged']:,} judgements{single}. rrf: bm25 and encoder "
             f"({found['encoder']}) fused by reciprocal rank" + (
                 "; ranked: as the other requests teach." if any(r["system"] == "ranked" for r in found["systems"]) else
                 ".")]  # fmt: skip
    for row in found["paired"]:
        if row["metric"] == "ndcg@10":
            sure = "" if row["p_adjusted"] < 0.05 else ": not told apart"
            low, high = ("?" if v is None else f"{v:+.4f}" for v in (row["low"], row["high"]))
            lines.append(f"ndcg@10, {row['system']} less {row['against']}: {row['delta']:+.4f} ({low} to {high}), "
                         f"paired, p = {row['p_adjusted']:.3f} after Holm{sure}")  # fmt: skip
    return lines + [f"note: {note}" for note in found["notes"]]


def _mean(row: dict[str, Any]) -> str:
    if row["low"] is None:
        return f"{row['value']:.4f}"
    return f"{row['value']:.4f} ({row['low']:.3f} to {row['high']:.3f})"

"""The compile report for people: what was written, the arms, the prompt leaderboard."""

from typing import Any

from rich.console import Console
from rich.table import Table

WORDS = {"helps": "bold green", "hurts": "bold red", "no_effect": "yellow", "too_little_data": "dim"}


def print_compile(console: Console, doc: dict[str, Any]) -> None:
    metric, slice = doc["objective"]["metric"], doc["objective"]["slice"]
    mark = "  [bold]SIMULATED users[/bold]" if doc.get("simulated") else ""
    tables = [_tasks(doc, mark), _arms(doc, metric, slice, mark), _leaderboard(doc, metric, slice, mark)]
    if doc["impressions"] and doc["impressions"]["arms"]:
        tables.insert(2, _by_position(doc, metric, slice, mark))
    if doc["by_impression"]:
        tables[2:2] = [_by_impression(doc, mark), _over_placebo(doc, mark)]
    if doc["retriever"]:
        tables.append(_retriever(doc, mark))
    if doc["request_ranker"]:
        tables.append(_request_ranker(doc["request_ranker"]))
    if doc["contributions"]:
        tables.append(_contributions(doc, metric, mark))
    for table in tables:
        title, table.title = table.title, None  # a title of the table would wrap at the table's width
        console.print(f"\n[bold]{title}[/bold]", highlight=False, soft_wrap=True)
        console.print(table)
        if table.columns[-1].header == "less, ndcg@10":
            console.print(retriever_says(doc["retriever"]), style="dim", highlight=False, soft_wrap=True)
        if table.columns[-1].header == "rejected for *":
            console.print("* of any sample; a text may be rejected for several reasons", style="dim")
    console.print()
    console.print("[bold]Advice[/bold]", highlight=False)
    for line in doc["advice"]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print()
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
    if own := doc["reward"]:
        lines.append(
            f"Ranked by {own['function']}, measured by us." if own["gives"] == "candidates" else
            f"The figures are {own['function']}'s own scores of lists, made with the answers in sight. Their "
            "intervals are over users alone, too sure of item texts; other metrics, cold and warm can't be told."
        )  # fmt: skip
    helped = [r["task"] for r in doc["leaderboard"] if r["verdict"] == "helps"]
    if helped:
        lines.append(f"Helped ranking: {', '.join(helped)}.")
    else:
        lines.append("No task's text is proved to help ranking on this data.")
    least, wide = doc["smallest_detectable_lift"], doc["smallest_detectable_lift_two_way"]
    if least is not None:
        lines.append(
            f"The smallest lift this data could show is {least:.4f} {metric} "
            f"(80% power, {doc['lists']['n_test']:,} test lists; an upper guess)"
            + (f"; {wide:.4f} when the items count as a sample too." if wide and wide > least else ".")
        )
    if (doc["reward"] or {}).get("gives") != "lists":
        lines.append(
            "The leaderboard's intervals cover users and items, the arms' users; none covers writing the texts anew."
        )
    cost = "unknown" if doc["cost_usd"] is None else f"${doc['cost_usd']:.2f}"
    stored = "answers were played back" if any(t["asked"] for t in doc["tasks"]) else "everything was in the store"
    calls = f"{doc['lm_calls']:,} LM calls" if doc["lm_calls"] else f"0 LM calls: {stored}"
    if doc["recall_ceiling"] is not None and doc["recall_ceiling"] < 1:
        lines.append(
            f"Candidates hold {doc['recall_ceiling']:.0%} of what the test users liked; no arm can find the rest, "
            "which counts as missed in all and sparse, and is left out of cold and warm."
        )
    lines.append(
        f"{calls}, {doc['prompt_tokens'] + doc['completion_tokens']:,} LM tokens, cost {cost}, {doc['seconds']:.0f} s. "
        f"On this data test was read {doc['looks']['test_reads']} time(s), tune-B {doc['looks']['tune_b']}."
    )
    return lines


def _table(title: str, *columns: tuple[str, str]) -> Table:
    """A table that fits 80 columns: no frame, and names are never cut."""
    table = Table(title=title, box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name, justify in columns:
        table.add_column(name, justify=justify, no_wrap=True)
    return table


def _tasks(doc: dict, mark: str) -> Table:
    names = ("texts", "accepted", "rejected", "malformed", "failed")
    counts = [(n, "right") for n in names]
    table = _table(f"What was written{mark}", ("task", "left"), *counts, ("rejected for *", "left"))
    table.columns[-1].no_wrap = False
    for t in doc["tasks"]:
        reasons = sorted(t["reject_reasons"].items(), key=lambda r: -r[1])
        counts = (f"{t[n]:,}" for n in ("generated", "accepted", "rejected", "malformed", "failed"))
        table.add_row(t["task"], *counts, ", ".join([f"{g} {n}" for g, n in reasons[:4]] + ["…"] * (len(reasons) > 4)))
    return table


def _arms(doc: dict, metric: str, slice: str, mark: str) -> Table:
    by = {(a["arm"], a["slice"]): a for a in doc["arms"] if a["metric"] == metric}
    order = list(dict.fromkeys(a["arm"] for a in doc["arms"]))
    others = [s for s in ("all", "cold_items", "sparse_users", "warm") if s != slice]
    heads = [f"{s.split('_')[0]}\nn={by[order[0], s]['n']:,}" for s in others]
    table = _table(
        f"Arms on test, {metric}, slice {slice}{mark}", ("arm", "left"), (metric, "right"), ("95% interval", "right"),
        *((h, "right") for h in heads),
    )  # fmt: skip
    for arm in order:
        a = by[arm, slice]
        low = f"{_number(a['low'])} to {_number(a['high'])}" if a["low"] is not None else ""
        table.add_row(arm, _number(a["value"]), low, *[_few(by.get((arm, s))) for s in others])
    return table


def _by_position(doc: dict, metric: str, slice: str, mark: str) -> Table:
    table = _table(
        f"The same with likes weighed by position, {metric}, slice {slice}{mark}", ("arm", "left"), (metric, "right"),
        ("95% interval", "right"), ("over raw_text", "right"), ("95% interval", "right"),
    )  # fmt: skip
    for a in doc["impressions"]["arms"]:
        lift = [_signed(a["lift"]), f"{_signed(a['lift_low'])} to {_signed(a['lift_high'])}"]
        own = f"{_number(a['low'])} to {_number(a['high'])}"
        table.add_row(a["arm"], _number(a["value"]), own, *(lift if a["lift"] is not None else ("", "")))
    return table


def _by_impression(doc: dict, mark: str) -> Table:
    rows = doc["by_impression"]
    metrics = list(dict.fromkeys(r["metric"] for r in rows))
    by = {(r["arm"], r["metric"]): r for r in rows}
    table = _table(
        f"By impression, {rows[0]['n']:,} on test: AUC's lift over raw_text{mark}", ("arm", "left"),
        *((m, "right") for m in metrics), ("AUC lift", "right"), ("95%", "right"),
    )  # fmt: skip
    for arm in dict.fromkeys(r["arm"] for r in rows):
        if arm.startswith("raw_text+tokens-"):
            continue  # in --json, as everything is
        a = by[arm, "auc"]
        lift = ["", ""] if a["lift"] is None else [_signed(a["lift"]), f"{_signed(a['low'])} to {_signed(a['high'])}"]
        table.add_row(arm, *[_number(by[arm, m]["value"]) for m in metrics], *lift)
    return table


def _over_placebo(doc: dict, mark: str) -> Table:
    """What of a task's lift is its texts', and not what any text of that kind would do."""
    shown = ("auc", "ndcg@10")
    table = _table(
        f"By impression, over placebo: the same texts dealt to others{mark}", ("arm", "left"),
        *((name, "right") for metric in shown for name in (metric, "95%")),
    )  # fmt: skip
    rows = {(r["arm"], r["metric"]): r for r in doc["by_impression"] if r["lift_over_placebo"] is not None}
    for arm in dict.fromkeys(arm for arm, _ in rows):
        by = [rows[arm, metric] for metric in shown]
        table.add_row(arm, *(text for r in by for text in (
            _signed(r["lift_over_placebo"]), f"{_signed(r['low_over_placebo'])} to {_signed(r['high_over_placebo'])}"
        )))  # fmt: skip
    return table


def _retriever(doc: dict, mark: str) -> Table:
    found = doc["retriever"]
    table = _table(
        f"Retrievers on {found['measured_on']:,} written requests of {found['owners']:,} owners not learnt from{mark}",
        ("system", "left"), ("ndcg@10", "right"), ("recall@100", "right"), ("less, ndcg@10", "left"),
    )  # fmt: skip
    return _systems(table, found)


def _request_ranker(found: dict[str, Any]) -> Table:
    use = "recommend uses it" if found["serves"] else "not proved better than what serves: not used"
    table = _table(
        f"The order of a menu, learnt from {found['requests']:,} requests of data.queries (none ranked by what learnt "
        f"from it); {use}",
        ("system", "left"), ("ndcg@10", "right"), ("recall@100", "right"), ("less, in ndcg@10", "left"),
    )  # fmt: skip
    return _systems(table, found)


def _systems(table: Table, found: dict[str, Any]) -> Table:
    by = {(r["system"], r["metric"]): r for r in found["systems"]}
    paired = {r["system"]: r for r in found["paired"] if r["metric"] == "ndcg@10" and r["against"] != "encoder"}
    for system in dict.fromkeys(r["system"] for r in found["systems"]):
        values = [_number(by[system, m]["value"]) for m in ("ndcg@10", "recall@100")]
        less = ""
        if p := paired.get(system):
            less = f"{p['against']}: {_signed(p['delta'])} ({_signed(p['low'])} to {_signed(p['high'])})"
        table.add_row(system, *values, less)
    return table


def retriever_says(found: dict[str, Any]) -> str:
    """What the table rests on, and what follows."""
    use = "recommend uses it" if found["serves"] else "not proved better than its placebo and untrained: not used"
    same = [n for n, looks in found["looks"].items() if n != "reranker" and max(looks[1:], default=0) <= looks[0]]
    none = f" {' and '.join(same)}: no look was better than the encoder as it came, which was kept." if same else ""
    return (
        f"trained on {found['learnt_from']:,} pairs (kept by: {found['keep']}); {use}.{none} The requests measured on "
        "are written ones too, and where some are about people and some about items both may quote one review: "
        "data.queries measures people's own"
    )


def _leaderboard(doc: dict, metric: str, slice: str, mark: str) -> Table:
    names = ("lift", "adjusted 95%", "left out", "placebo")
    table = _table(
        f"Prompt leaderboard: lift in {metric} over raw_text, when left out, over placebo{mark}",
        ("task", "left"), *((n, "right") for n in names), ("verdict", "left"),
    )  # fmt: skip
    for r in doc["leaderboard"]:
        table.add_row(
            r["task"], _signed(r["lift"]), f"{_signed(r['low'])} to {_signed(r['high'])}", _signed(r["lift_left_out"]),
            _signed(r["lift_over_placebo"]), f"[{WORDS[r['verdict']]}]{r['verdict']}[/]",
        )  # fmt: skip
    return table


def _contributions(doc: dict, metric: str, mark: str) -> Table:
    lists = doc["contributions"][0]["lists"]
    table = _table(
        f"Second opinion: what the ranker's own contributions add to {metric}, {lists:,} test lists{mark}",
        ("task", "left"), ("share", "right"), ("lift", "right"), ("95%", "right"), ("the leaderboard", "left"),
    )  # fmt: skip
    for c in doc["contributions"]:
        said = {"sign": "[bold]says the opposite[/]", "order": "[bold]orders tasks otherwise[/]", None: "agrees"}
        low = "" if c["low"] is None else f"{_signed(c['low'])} to {_signed(c['high'])}"
        share = "–" if c["share"] is None else f"{c['share']:.0%}"
        table.add_row(c["task"], share, _signed(c["lift_by_contribution"]), low, said[c["disagreement"]])
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}".removeprefix("0")


def _few(arm: dict | None) -> str:
    if arm is None or arm["value"] is None:
        return "–"
    return _number(arm["value"]) if arm["n"] >= 20 else "too few"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.4f}".replace("0.", ".", 1)

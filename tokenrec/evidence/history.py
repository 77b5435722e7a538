"""The rates of one evaluation beside those of the one before. Only figures are kept: no text, no subject."""

import json
from typing import Any

from tokenrec.ids import canonical_json
from tokenrec.store.store import now, transaction

KINDS = ("noise_rate", "hallucination_rate")


def compare(db, doc: dict[str, Any]) -> dict[str, Any] | None:
    """What changed since the last evaluation with other figures; None when this is the first. Stores this one's.

    apart: whether the two intervals have no point in common, so that more than chance changed.
    """
    rates = _figures(doc)
    stored = [(at, json.loads(text)) for at, text in db.execute(
        "select at, rates from evals where recipe = ? order by id desc limit 2", [doc["recipe"]]
    )]  # fmt: skip
    if not stored or stored[0][1] != rates:
        with transaction(db) as sql:
            sql.execute("insert into evals (recipe, at, rates) values (?, ?, ?)",
                        [doc["recipe"], now(), canonical_json(rates)])  # fmt: skip
    before = next(((at, was) for at, was in stored if was != rates), None)
    if before is None:
        return None
    at, was = before
    changes = []
    for task, figures in rates.items():
        old = was.get(task, {})
        for name, figure in figures["rates"].items():
            past = old.get("rates", {}).get(name)
            if past and past != figure:
                both = None not in (past["low"], figure["low"])
                apart = both and (past["low"] > figure["high"] or past["high"] < figure["low"])
                changes.append({"task": task, "rate": name, "was": past, "now": figure, "apart": apart,
                                "same_program": old["program"] == figures["program"]})  # fmt: skip
    return {"at": at, "changes": changes}


def _figures(doc: dict[str, Any]) -> dict[str, Any]:
    """By task: its program, and value, low and high of each rate."""
    found = {}
    for task in doc["tasks"]:
        rates = {
            kind + suffix: {k: task[kind][stage][k] for k in ("value", "low", "high")}
            for kind in KINDS if task[kind] for stage, suffix in (("before", "_before"), ("after", ""))
        }  # fmt: skip
        found[task["task"]] = {"program": task["program"] and task["program"]["program_id"], "rates": rates}
    return found

"""What a run leaves in the store, so that anyone can recompute its figures."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from tokenrec.compiler.session import Session
from tokenrec.dataset.types import TEST, WINDOWS
from tokenrec.ids import canonical_json, finite
from tokenrec.store.store import now, transaction


def start_run(session: Session) -> None:
    """The run's row, and the windows of its data (replacing those of an earlier data set of the recipe).

    An earlier run that is still called running was killed: a run holds its recipe's lock (store/lock.py).
    """
    dataset, recipe = session.dataset, session.recipe
    e = dataset.events
    with transaction(session.db) as sql:
        sql.execute("update runs set status = 'killed' where recipe = ? and status = 'running'", [recipe.name])
        sql.execute(
            "insert into runs (run, recipe, recipe_hash, data_hash, command, started, status) values (?,?,?,?,?,?,?)",
            [session.run, recipe.name, session.loaded.recipe_hash, dataset.data_hash, "compile", now(), "running"],
        )
        last = sql.execute(
            "select data_hash from runs where recipe = ? and run <> ? order by rowid desc limit 1",
            [recipe.name, session.run],
        ).fetchone()
        if (
            last
            and last[0] == dataset.data_hash
            and sql.execute("select 1 from windows where recipe = ?", [recipe.name]).fetchone()
        ):
            return
        sql.execute("delete from windows where recipe = ?", [recipe.name])
        rows = (
            [recipe.name, dataset.user_ids[e.user[i]], dataset.item_ids[e.item[i]], float(e.time[i]),
             None if np.isnan(e.value[i]) else float(e.value[i]), int(e.positive[i]), WINDOWS[e.window[i]]]
            for i in range(len(e))
        )  # fmt: skip
        sql.executemany("insert into windows values (?,?,?,?,?,?,?)", rows)


def finish_run(session: Session, status: str, document: dict | None) -> None:
    with transaction(session.db) as sql:
        sql.execute(
            "update runs set finished = ?, status = ?, seconds = ?, document = ? where run = ?",
            [now(), status, document and document["seconds"], document and json.dumps(document, ensure_ascii=False),
             session.run],
        )


def save_evidence(session: Session, evidence) -> None:
    """Lists, per-list metrics and evidence rows; every arm's scores as Parquet beside the store."""
    scores, run = evidence.scores, session.run
    objective = session.recipe.objective
    with transaction(session.db) as sql:
        # the newest run of a recipe keeps its bulky rows; older ones keep their evidence
        old = [
            r[0] for r in sql.execute("select run from runs where recipe = ? and run <> ?", [session.recipe.name, run])
        ]
        for table in ("lists", "metrics"):
            sql.executemany(f"delete from {table} where run = ?", [[o] for o in old])
        for window, lists in session.lists.items():
            users = [session.dataset.user_ids[u] for u in lists.user]
            sql.executemany(
                "insert into lists values (?,?,?,?)", ([run, i, WINDOWS[window], u] for i, u in enumerate(users))
            )
        for arm in scores.arms:
            values = scores.per_list(arm, objective.metric, objective.slice)
            sql.executemany(
                "insert into metrics values (?,?,?,?,?,?)",
                (
                    [run, arm, objective.slice, i, objective.metric, float(v)]
                    for i, v in enumerate(values)
                    if not np.isnan(v)
                ),
            )
        rows = [[run, "arm", a["arm"], canonical_json(a)] for a in evidence.arms]
        for r in evidence.leaderboard:
            row = {k: finite(v) if isinstance(v, float) else v for k, v in asdict(r).items()}
            rows.append([run, "leaderboard", r.task, canonical_json(row)])
        sql.executemany("insert into evidence values (?,?,?,?)", rows)
    path = session.loaded.project.store.parent / f"scores-{session.recipe.name}.parquet"
    digest = _write_scores(session, scores, path)
    with transaction(session.db) as sql:
        sql.execute(
            "delete from files where kind = ? and run in (select run from runs where recipe = ?)",
            ["scores", session.recipe.name],
        )
        sql.execute("insert into files values (?,?,?,?)", [run, "scores", path.name, digest])


def _write_scores(session: Session, scores, path: Path) -> str:
    """Parquet: list, item, label, then one float column an arm (mean of the seeds' standardised scores)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    lists = session.lists[TEST]
    items = pa.DictionaryArray.from_arrays(pa.array(lists.item_of_row), pa.array(session.dataset.item_ids))
    table = {"list": pa.array(lists.list_of_row), "item": items, "label": pa.array(lists.label)}
    table |= {arm: pa.array(values) for arm, values in scores.scores.items()}
    partial = path.with_suffix(".tmp")
    pq.write_table(pa.table(table), partial, compression="zstd")
    partial.replace(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()

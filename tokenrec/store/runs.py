"""A run's row, from its beginning to however it ends."""

from collections.abc import Iterator
from contextlib import contextmanager

from tokenrec.store.store import now, transaction


@contextmanager
def recorded_run(db, run: str, recipe: str, command: str, recipe_hash: str | None = None) -> Iterator[None]:
    """The row of a run that is no compile: running while the block runs, then finished, or stopped by an error."""
    status = "stopped"
    try:
        with transaction(db) as sql:
            sql.execute(
                "insert into runs (run, recipe, recipe_hash, command, started, status) values (?,?,?,?,?,?)",
                [run, recipe, recipe_hash, command, now(), "running"],
            )
        yield
        status = "finished"
    finally:
        with transaction(db) as sql:
            sql.execute("update runs set finished = ?, status = ? where run = ?", [now(), status, run])

"""One run of a recipe at a time: two would both pay for what neither has stored yet."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenrec.errors import ServiceError


@contextmanager
def only_run(store: Path, recipe: str) -> Iterator[None]:
    """Hold the recipe's place at `store` while the block runs. Raises ServiceError when another run has it.

    The lock is SQLite's own, on an empty file beside the store: it works on every system and a killed process lets
    go of it.
    """
    path = store.with_name(f"{store.name}.{recipe}.lock")
    connection = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=0, isolation_level=None)
        connection.execute("begin exclusive")
    except sqlite3.OperationalError as error:
        if connection:
            connection.close()
        if "locked" not in str(error):
            raise ServiceError(
                f"{path}: {error}. Is the disk full or the folder read-only? Change store: in tokenrec.yaml"
            ) from error
        raise ServiceError(
            f"another run of {recipe} is writing to {store}. Wait for it to end, or stop it and run again"
        ) from error
    except OSError as error:
        raise ServiceError(f"{path}: {error}. Choose another place for store: in tokenrec.yaml") from error
    try:
        yield
    finally:
        connection.close()

"""A run that writes on a copy: what it makes is thrown away, what it cost is kept."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenrec.compiler.session import Session, open_session
from tokenrec.dataset.types import Dataset
from tokenrec.recipe.load import LoadedRecipe
from tokenrec.store.runs import recorded_run
from tokenrec.store.store import copy_store, transaction


@contextmanager
def scratch_session(loaded: LoadedRecipe, dataset: Dataset, start: Path) -> Iterator[tuple[Session, object]]:
    """(a session that may ask the LM and whose store is a copy of `start`, the real store).

    The run and what it spent are in the real store however the block ends; a `start` that is no file is an empty store.
    """
    session = open_session(loaded, f"recommend-{uuid.uuid4().hex[:12]}", dataset=dataset)
    real, session.db = session.db, copy_store(start)
    with recorded_run(real, session.run, loaded.recipe.name, "recommend"):
        try:
            yield session, real
        finally:
            columns = "run, task, purpose, lm_id, calls, prompt_tokens, completion_tokens, cost_usd"
            spent = session.db.execute(f"select {columns} from spend where run = ?", [session.run]).fetchall()
            with transaction(real) as sql:
                sql.executemany(f"insert into spend ({columns}) values (?,?,?,?,?,?,?,?)", spent)

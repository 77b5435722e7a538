"""Open the store: one SQLite file in WAL mode, migrated, readable by Datasette as it is."""

import contextlib
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

_absent = "pandas" not in sys.modules
if _absent:  # sqlite-utils imports it wherever it is, for half a second, and nothing here needs it
    sys.modules["pandas"] = None
import sqlite_utils  # noqa: E402

if _absent:
    del sys.modules["pandas"]

from tokenrec.errors import InputError, ServiceError  # noqa: E402
from tokenrec.store.schema import MIGRATIONS  # noqa: E402


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def open_store(path: Path | str) -> sqlite_utils.Database:
    """The store at `path` (":memory:" for tests), made and migrated where needed.

    Raises InputError when the file is no store, ServiceError when it can't be written.
    """
    try:
        if str(path) != ":memory:":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        # other threads: GEPA evaluates in one of its own, while this one waits for it
        connection = sqlite3.connect(str(path), timeout=30, isolation_level=None, check_same_thread=False)
        _demand_ours(connection, path)
        for pragma in ("journal_mode = wal", "synchronous = normal", "foreign_keys = on"):
            connection.execute(f"pragma {pragma}")
        db = sqlite_utils.Database(connection)
        _migrate(db)
        return db
    except sqlite3.DatabaseError as error:
        raise _fault(path, error, "Is the disk full, the folder read-only or another run writing?") from error
    except OSError as error:
        raise ServiceError(f"{path}: {error}. Choose another place for store: in tokenrec.yaml") from error


def copy_store(path: Path) -> sqlite_utils.Database:
    """A copy of the store to think on: what is written there is gone with it, and no byte of the store changes.

    Without a store it is an empty one. SQLite keeps it in memory, and large ones in a file of its own.
    Raises InputError when the file is no store, ServiceError when it can't be read.
    """
    copy = sqlite3.connect("", isolation_level=None)
    try:
        if path.is_file():
            with contextlib.closing(_reader(path)) as original:
                _demand_ours(original, path)
                original.backup(copy)
        copy.execute("pragma foreign_keys = on")
        db = sqlite_utils.Database(copy)
        _migrate(db)
        return db
    except sqlite3.DatabaseError as error:
        raise _fault(path, error, "Can the file be read, and is there room for a copy?") from error


def _fault(path: Path | str, error: sqlite3.DatabaseError, ask: str) -> InputError | ServiceError:
    """What SQLite's error means: a file that is no store, or a service that failed."""
    if "not a database" in str(error) or "malformed" in str(error):
        return InputError(f"{path} is no tokenrec store ({error}). Move it away, or change store: in tokenrec.yaml")
    return ServiceError(f"{path}: {error}. {ask}")


def _reader(path: Path) -> sqlite3.Connection:
    """A connection that can't write. Where no log lies beside the store, it is told that nobody writes: SQLite would
    leave files of its own behind."""
    log = path.with_name(path.name + "-wal")
    how = "mode=ro" if log.is_file() and log.stat().st_size else "mode=ro&immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=30, isolation_level=None)


def _demand_ours(connection: sqlite3.Connection, path: Path | str) -> None:
    """Nothing is changed in a database that something else made."""
    tables = {row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")}
    if tables and not {c[1] for c in connection.execute("pragma table_info(migrations)")} >= {"number", "name", "at"}:
        connection.close()
        raise InputError(f"{path} is another program's database. Move it away, or change store: in tokenrec.yaml")


def _migrate(db: sqlite_utils.Database) -> None:
    db.execute("create table if not exists migrations (number integer primary key, name text, at text)")
    done = {row[0] for row in db.execute("select number from migrations")}
    if done and max(done) > len(MIGRATIONS):
        raise InputError("the store was written by a newer tokenrec. Upgrade tokenrec, or use another store")
    for number, step in enumerate(MIGRATIONS, 1):
        if number not in done:
            with transaction(db) as connection:
                if connection.execute("select 1 from migrations where number = ?", [number]).fetchone():
                    continue  # another process was faster
                step(connection)
                connection.execute("insert into migrations values (?, ?, ?)", [number, step.__name__, now()])


@contextmanager
def transaction(db: sqlite_utils.Database) -> Iterator[sqlite3.Connection]:
    """All or nothing, together with one around it. Raises ServiceError when SQLite can't write."""
    connection = db.conn
    if connection.in_transaction:
        yield connection
        return
    try:
        connection.execute("begin immediate")
        try:
            yield connection
        except BaseException:
            if connection.in_transaction:  # a full disk has rolled back already
                connection.execute("rollback")
            raise
        connection.execute("commit")
    except sqlite3.OperationalError as error:
        if connection.in_transaction:
            connection.execute("rollback")
        raise ServiceError(
            f"the store can't be written: {error}. What was stored before is safe; run again to go on"
        ) from error

"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenrec.errors import InputError, ServiceError


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A file beside `path` that takes its place when the block ends well, and else goes away.

    Raises InputError when it can't be there, ServiceError when the disk fails.
    """
    final = Path(path)
    partial = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    try:
        yield partial
        os.replace(partial, final)
    except OSError as error:
        wrong = isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError))
        text = f"{path} can't be written: {error.strerror or error}. Name another file, or make room"
        raise (InputError if wrong else ServiceError)(text) from error
    finally:
        partial.unlink(missing_ok=True)

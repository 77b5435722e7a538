"""Sequences that stay on disk: a catalogue, its prompts and its texts, however many, in the memory of a few."""

import json
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from tokenrec.errors import ServiceError

T = TypeVar("T")
ROOM = 1 << 20  # bytes that may stay in memory
_AT_ONCE = 512  # rows read together while iterating


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def dump(value: Any) -> bytes:
    return _ENCODER.encode(value).encode("utf-8", "surrogatepass")


def load(data: bytes) -> Any:
    return json.loads(data.decode("utf-8", "surrogatepass"))


def no_room(error: OSError) -> ServiceError:
    """What it means that temporary files can't be written."""
    try:
        where = tempfile.gettempdir()
    except OSError:
        where = "no folder for temporary files"
    why = error.strerror or error
    return ServiceError(f"{where}: {why}. Make room there, or set TMPDIR to a folder that has some, and run again")


class Spool(Sequence[T]):
    """Rows in a temporary file, added at the end and read by position; JSON unless `dump` and `load` say otherwise.

    The file has no name and is gone with the object or the process. Not for several threads. Raises ServiceError when
    the folder of temporary files is full.
    """

    def __init__(
        self, rows: Iterable[T] = (), dump: Callable[[T], bytes] = dump, load: Callable[[bytes], T] = load
    ) -> None:
        self._file = tempfile.SpooledTemporaryFile(ROOM)  # noqa: SIM115  it lives as long as the sequence
        self._ends, self._dump, self._load, self._at_end = array("q", [0]), dump, load, True
        for row in rows:
            self.append(row)

    def append(self, row: T) -> None:
        if not self._at_end:
            self._seek(self._ends[-1])
            self._at_end = True
        data = self._dump(row)
        try:
            self._file.write(data)
        except OSError as error:
            raise no_room(error) from error
        self._ends.append(self._ends[-1] + len(data))

    def _seek(self, at: int) -> None:
        try:
            self._file.seek(at)  # writes what is not written yet
        except OSError as error:
            raise no_room(error) from error

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, at):
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            return list(self._read(start, stop)) if step == 1 else [self[i] for i in range(start, stop, step)]
        at = at + len(self) if at < 0 else at
        if not 0 <= at < len(self):
            raise IndexError(at)
        start, end = self._ends[at], self._ends[at + 1]
        self._at_end = False
        self._seek(start)
        return self._load(self._file.read(end - start))

    def __iter__(self) -> Iterator[T]:
        for start in range(0, len(self), _AT_ONCE):
            yield from self._read(start, min(start + _AT_ONCE, len(self)))

    def _read(self, start: int, stop: int) -> list[T]:
        if stop <= start:
            return []
        ends, first = self._ends, self._ends[start]
        self._at_end = False
        self._seek(first)
        block = self._file.read(ends[stop] - first)
        return [self._load(block[ends[i] - first : ends[i + 1] - first]) for i in range(start, stop)]


def texts(rows: Iterable[str] = ()) -> Spool[str]:
    """A spool of plain strings."""
    return Spool(rows, lambda s: s.encode("utf-8", "surrogatepass"), lambda b: b.decode("utf-8", "surrogatepass"))


class Records(Mapping[str, dict]):
    """Records by id, kept on disk, each with the line of its file."""

    def __init__(self) -> None:
        self._rows: Spool[dict] = Spool()
        self._at: dict[str, int] = {}
        self._lines = array("q")

    def add(self, key: str, record: dict, line: int) -> None:
        self._at[key] = len(self._rows)
        self._rows.append(record)
        self._lines.append(line)

    def line(self, key: str) -> int:
        return self._lines[self._at[key]]

    def __getitem__(self, key: str) -> dict:
        return self._rows[self._at[key]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._at)

    def __contains__(self, key: object) -> bool:
        return key in self._at

    def __len__(self) -> int:
        return len(self._at)

    def drop(self, key: str) -> None:
        del self._at[key]

    def ordered(self, keys: Iterable[str]) -> "Ordered":
        """The records in the order of `keys`; an empty one where there is none."""
        return Ordered(self._rows, array("q", (self._at.get(k, -1) for k in keys)))


class Ordered(Sequence[dict]):
    """Rows of a spool in an order of their own."""

    def __init__(self, rows: Spool[dict], at: array) -> None:
        self._rows, self._at = rows, at

    def __len__(self) -> int:
        return len(self._at)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        at = self._at[i]
        return self._rows[at] if at >= 0 else {}

"""Rows of CSV, TSV, JSONL, JSON and Parquet files (also .gz), streamed, with the line each came from."""

import csv
import difflib
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenrec.errors import InputError

FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
_BIGGEST_CELL = 1 << 24


def read_rows(path: Path, columns: Iterable[str], name: str | None = None) -> Iterator[tuple[int, dict | str]]:
    """Yield (line, {column: value}) of each row; (line, complaint) where a row can't be read.

    `columns` are all that is kept, and each must exist (in JSON: in some record). Lines count from 1,
    header included; Parquet and JSON count records from 1. CSV values are text; a field that a JSON
    record lacks is None. `name` is what messages call the file.
    Raises InputError: no such file, unknown format, not UTF-8, broken archive, empty, missing column.
    """
    name = name or str(path)
    columns = list(dict.fromkeys(columns))
    kind = file_kind(path, name)
    if not path.is_file():
        raise InputError(f"{name}: no such file ({path}).{_nearby(path)}")
    reader = {".csv": _csv, ".tsv": _csv, ".parquet": _parquet, ".json": _json}.get(kind, _jsonl)
    try:
        yield from reader(path, columns, name)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{name}: broken .gz archive ({error}); make or download it again.") from error
    except OSError as error:
        raise InputError(f"{name}: can't be read: {error.strerror or error}.") from error


def read_tsv(path: Path, header: tuple[str, ...], name: str | None = None) -> Iterator[tuple[int, dict | str]]:
    """Yield (line, {column: text}) of a TSV file without a header line and without quotes, such as MIND's; (line,
    complaint) where a row has another number of cells. Raises InputError as `read_rows` does."""
    name, number = name or str(path), 0
    if not path.is_file():
        raise InputError(f"{name}: no such file ({path}).{_nearby(path)}")
    with _bytes(path) as stream:
        for number, line in enumerate(_lines(stream, name), 1):
            cells = line.rstrip("\r\n").split("\t")
            if not any(cells):
                continue
            wrong = f"{len(cells)} cells where there should be {len(header)}"
            yield number, wrong if len(cells) != len(header) else dict(zip(header, cells, strict=True))
    if not number:
        raise InputError(f"{name}: the file is empty; it needs rows of {len(header)} cells: {', '.join(header)}.")


def file_kind(path: Path, name: str | None = None) -> str:
    """The suffix that says the format, .gz aside. Raises InputError where it is none of FORMATS."""
    suffixes = [s.lower() for s in path.suffixes]
    kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else (suffixes or [""])[-1]
    if kind not in FORMATS:
        raise InputError(f"{name or path}: unknown kind of file; tokenrec reads {', '.join(FORMATS)}, also .gz.")
    return kind


def place(name: str, line: int) -> str:
    """file:line, or "file row n" where the file has no lines."""
    kind = file_kind(Path(name))
    return f"{name} row {line}" if kind in (".parquet", ".json") else f"{name}:{line}"


def _nearby(path: Path) -> str:
    if not path.parent.is_dir():
        return f" The folder {path.parent} does not exist either; data paths are relative to the recipe file."
    close = difflib.get_close_matches(path.name, [p.name for p in path.parent.iterdir()], 1)
    return f" Did you mean {close[0]}?" if close else " Data paths are relative to the recipe file."


def _demand(columns: list[str], there: list[str], name: str) -> None:
    for column in columns:
        if column in there:
            if there.count(column) > 1:
                raise InputError(f"{name}: column {column!r} stands in the header twice; rename one.")
            continue
        folded = {t.casefold(): t for t in there}
        close = difflib.get_close_matches(column.casefold(), list(folded), 1, cutoff=0.5)
        hint = f" Did you mean {folded[close[0]]!r}?" if close else ""
        shown = ", ".join(there[:30]) + (", ..." if len(there) > 30 else "")
        raise InputError(f"{name}: no column {column!r}.{hint} It has: {shown}. Correct the recipe or the file.")


@contextmanager
def _bytes(path: Path) -> Iterator:
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else open(path, "rb") as stream:
        yield stream


def _lines(stream: Iterable[bytes], name: str) -> Iterator[str]:
    for number, raw in enumerate(stream, 1):
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{name}:{number}: not UTF-8 (byte {raw[error.start]:#04x}); save the file as UTF-8."
            ) from error


def _csv(path: Path, columns: list[str], name: str) -> Iterator[tuple[int, dict | str]]:
    csv.field_size_limit(max(csv.field_size_limit(), _BIGGEST_CELL))
    with _bytes(path) as stream:
        record: list[str] = []  # the raw lines of the record being read

        def lines():
            for line in _lines(stream, name):
                record.append(line)
                yield line

        source = lines()
        first = next((line for line in source if line.strip()), None)
        if first is None:
            raise InputError(f"{name}: the file is empty; it needs a header line and rows.")
        skipped = len(record) - 1
        delimiter = max("\t,;|" if file_kind(path) == ".tsv" else ",;\t|", key=first.count)
        reader = csv.reader(_chain(first, source), delimiter=delimiter)
        line, start, raw = 1, 1, record
        try:
            header = [cell.strip() for cell in next(reader)]
            _demand(columns, header, name)
            wanted = [(c, header.index(c)) for c in columns]
            record.clear()
            start = reader.line_num + 1
            for row in reader:
                line, start = start + skipped, reader.line_num + 1
                raw = record.copy()
                record.clear()
                if not any(row):
                    continue
                if len(row) < len(header) or any(row[len(header) :]):
                    yield line, f"{len(row)} cells where the header has {len(header)}"
                else:
                    yield line, {c: row[at] for c, at in wanted}
            if len(raw) > 1 and "".join(raw).count('"') % 2:
                raise InputError(f"{name}:{line}: a quote is opened here and never closed; close it or double it.")
        except csv.Error as error:
            raise InputError(
                f"{name}:{start + skipped}: can't be read as CSV ({error}); is a quote never closed?"
            ) from error


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _jsonl(path: Path, columns: list[str], name: str) -> Iterator[tuple[int, dict | str]]:
    seen: dict[str, None] = {}
    with _bytes(path) as stream:
        number = 0
        for number, line in enumerate(_lines(stream, name), 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, f"not JSON: {error}"
                continue
            yield number, _picked(record, columns, seen)
    if not number:
        raise InputError(f"{name}: the file is empty; it needs one JSON object a line.")
    if seen:
        _demand(columns, list(seen), name)


def _json(path: Path, columns: list[str], name: str) -> Iterator[tuple[int, dict | str]]:
    seen: dict[str, None] = {}
    with _bytes(path) as stream:
        text = "".join(_lines(stream, name))
    if not text.strip():
        raise InputError(f"{name}: the file is empty; it needs a JSON list of objects.")
    try:
        records = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: not JSON ({error}). One object a line is .jsonl.") from error
    if not isinstance(records, list):
        raise InputError(f"{name}: needs a JSON list of objects; this is one {type(records).__name__}.")
    for number, record in enumerate(records, 1):
        yield number, _picked(record, columns, seen)
    if seen:
        _demand(columns, list(seen), name)


def _picked(record: object, columns: list[str], seen: dict[str, None]) -> dict | str:
    if not isinstance(record, dict):
        return f"a JSON {type(record).__name__} where an object should be"
    seen.update(dict.fromkeys(record))
    return {c: record.get(c) for c in columns}


def _parquet(path: Path, columns: list[str], name: str) -> Iterator[tuple[int, dict | str]]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        _demand(columns, file.schema_arrow.names, name)
        number = 0
        for batch in file.iter_batches(batch_size=16_384, columns=columns):
            for row in zip(*map(_plain, batch.columns), strict=True):
                number += 1
                yield number, dict(zip(batch.schema.names, row, strict=True))
    except pyarrow.ArrowException as error:
        raise InputError(f"{name}: can't be read as Parquet ({error}).") from error


def _plain(column) -> list:
    import pyarrow

    kind = column.type
    if pyarrow.types.is_timestamp(kind):  # nanoseconds have no place in a Python datetime
        column = column.cast(pyarrow.timestamp("us", kind.tz), safe=False)
    return column.to_pylist()

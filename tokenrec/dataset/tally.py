"""What a file's rows lacked, counted by kind, with the first places for people to look at."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenrec.dataset import values
from tokenrec.dataset.read import file_kind, place, read_rows
from tokenrec.errors import InputError

MOST_BAD_SHARE, BAD_ROWS_FORGIVEN = 0.10, 20


class Tally:
    """Counts what one file's rows lacked, by kind, keeping the first places for people to look at."""

    def __init__(self, name: str):
        self.name, self.rows, self.bad, self.mended, self.first = name, 0, Counter(), Counter(), {}

    def skip(self, kind: str, line: int) -> None:
        self._count(self.bad, kind, line)

    def mend(self, kind: str, line: int) -> None:
        self._count(self.mended, kind, line)

    def _count(self, counter: Counter, kind: str, line: int) -> None:
        counter[kind] += 1
        if counter[kind] <= 3:
            self.first.setdefault(kind, []).append(place(self.name, line))

    def close(self, notes: list[str], fix: str) -> None:
        """Add to `notes`; raise InputError where too many rows are bad. `fix` says what to look at."""
        said = [f"{n:,} {kind} (first: {', '.join(self.first[kind])})" for kind, n in self.bad.most_common()]
        bad = self.bad.total()
        if bad > BAD_ROWS_FORGIVEN and bad > MOST_BAD_SHARE * self.rows:
            raise InputError(f"{self.name}: {bad:,} of {self.rows:,} rows can't be used: {'; '.join(said)}. {fix}")
        notes += [f"{self.name}: skipped {s}." for s in said]
        notes += [f"{self.name}: {n:,} {k} (first: {', '.join(self.first[k])})." for k, n in self.mended.most_common()]


def pair_rows(
    folder: Path, path: str, columns: Iterable[str | None], user: str, item: str, tally: Tally
) -> Iterator[tuple[int, dict, str, str]]:
    """(line, row, user id, item id) of each row that has both ids; all rows are counted, the others skipped.

    `columns`: None is none; `user` and `item` are two of them. Raises InputError as `read_rows` does.
    """
    untyped = file_kind(folder / path, path) in (".csv", ".tsv")
    for line, row in read_rows(folder / path, [c for c in columns if c], path):
        tally.rows += 1
        if isinstance(row, str):
            tally.skip(f"rows: {row}", line)
            continue
        ids = values.as_id(row[user], untyped), values.as_id(row[item], untyped)
        if None in ids:
            tally.skip(f"rows without {user if ids[0] is None else item}", line)
            continue
        yield line, row, *ids

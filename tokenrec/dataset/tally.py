"""What a file's rows lacked, counted by kind, with the first places for people to look at."""

from collections import Counter

from tokenrec.dataset.read import place
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

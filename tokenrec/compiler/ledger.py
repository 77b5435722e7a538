"""What one search has asked so far, over all its runs: one that was killed goes on with what is left of its budget.

Rows of table `asked`: a student's answer by its completion key (the answer itself is in `completions`), a reflector's
by its request, with its text.
"""

from tokenrec.lm.meter import Meter, Usage
from tokenrec.store.store import now, transaction


class Ledger:
    """`meter` is the search's own: what earlier runs of it paid counts there, and not on the run's."""

    def __init__(self, db, search: str, task: str, meter: Meter):
        self.db, self.search, self.task, self.meter = db, search, task, meter
        self.earlier: dict[str, tuple[Usage, str | None]] = {
            request: (Usage(*usage), text)
            for request, text, *usage in db.execute(
                "select request, answer, calls, prompt_tokens, completion_tokens, cost_usd from asked where search = ?",
                [search],
            )
        }
        self._counted: set[str] = set()

    def recall(self, request: str) -> str | None:
        """The reflector's text for a request that an earlier run asked; counts what it cost. None: not asked yet."""
        usage, text = self.earlier.get(request, (None, None))
        if usage and request not in self._counted:
            self._counted.add(request)
            with self.meter.lock:
                self.meter.used.add(usage)
        return text

    def note(self, request: str, usage: Usage, text: str | None = None) -> None:
        """Write down what was asked just now; the meter knows of it already."""
        self._counted.add(request)
        self.earlier[request] = (usage, text)
        with transaction(self.db) as sql:
            sql.execute(
                "insert or replace into asked values (?,?,?,?,?,?,?,?,?)",
                [self.search, request, self.task, text, usage.calls, usage.prompt_tokens, usage.completion_tokens,
                 usage.usd, now()],
            )  # fmt: skip

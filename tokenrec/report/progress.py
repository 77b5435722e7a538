"""Progress of long work on stderr: stage, done/total, rate, LM tokens, cost, time left."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

REDRAW = 0.1  # seconds; rich works out a speed from its last thousand updates, each time


class Bar:
    """One stage. Without a screen it only counts."""

    def __init__(self, progress: Progress | None, task, total: int):
        self.progress, self.task, self.total, self.done = progress, task, total, 0
        self.drawn, self.detail = 0.0, ""

    def count(self, done: int, total: int | None = None, detail: str = "") -> None:
        self.done, self.total, self.detail = done, total or self.total, detail
        if self.progress and (time.monotonic() - self.drawn > REDRAW or done >= self.total):
            self.drawn = time.monotonic()
            task = self.progress.tasks[self.progress.task_ids.index(self.task)]
            rate = f"{task.speed:.1f}/s" if task.speed else ""
            self.progress.update(self.task, completed=done, total=max(self.total, done), rate=rate, detail=detail)

    def step(self) -> None:
        self.count(self.done + 1)

    def generation(self, report) -> None:
        used = report.usage
        cost = "cost unknown" if used.usd is None else f"${used.usd:.4f}" if used.usd else "free"
        total = max(report.asked, report.subjects)  # best of n asks some subjects again
        self.count(report.asked, total, f"{used.prompt_tokens + used.completion_tokens:,} LM tokens, {cost}")


class Stages:
    """`with stages.stage("write flavour", 305) as bar: ...`; finished stages stay on the screen."""

    def __init__(self, console: Console | None):
        self.console = console
        self.seconds: list[tuple[str, float]] = []

    @contextmanager
    def stage(self, name: str, total: int = 0) -> Iterator[Bar]:
        began = time.perf_counter()
        try:
            if self.console is None or not self.console.is_terminal:
                bar = Bar(None, None, total)
                yield bar
                self._line(name, bar, time.perf_counter() - began)
                return
            columns = [
                SpinnerColumn(), TextColumn("{task.description:<28}"), BarColumn(bar_width=20), MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"), TextColumn("{task.fields[detail]}"), TimeElapsedColumn(),
                TextColumn("left"), TimeRemainingColumn(),
            ]  # fmt: skip
            with Progress(*columns, console=self.console) as progress:
                task = progress.add_task(name, total=total or None, rate="", detail="")
                yield Bar(progress, task, total)
        finally:
            self.seconds.append((name, time.perf_counter() - began))

    def _line(self, name: str, bar: Bar, seconds: float) -> None:
        """What a finished stage leaves in a log, where no bar can be drawn."""
        if self.console:
            rate = f"  {bar.done / seconds:.1f}/s" if bar.total and seconds > 0 else ""
            count = f"  {bar.done}/{bar.total}" if bar.total else ""
            detail = f"  {bar.detail}" if bar.detail else ""
            self.say(f"  {name:<28}{count}{rate}{detail}  {seconds:.0f} s")

    def say(self, text: str) -> None:
        if self.console:
            self.console.print(text, highlight=False, markup=False, soft_wrap=not self.console.is_terminal)

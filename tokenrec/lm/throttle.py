"""How many requests may be in flight: the server's limit is found by asking.

Additive increase, multiplicative decrease (Chiu and Jain 1989): every answer raises the limit by 1/limit, so that a
round of answers raises it by one; a refusal (429, 503) takes a seventh off, once for all that are refused in the time
that an answer takes or that the server says to wait.
"""

import asyncio
import time
from collections import deque

DECREASE = 0.85


class Throttle:
    """`async with throttle:` around each attempt; `refused` and `answered` tell it what came of it."""

    def __init__(self, most: int):
        self.most, self.limit = most, float(most)
        self.active = 0
        self.waiting: deque[asyncio.Future] = deque()
        self.latency = 0.0  # seconds that answers take, smoothed
        self.patience = 0.0  # until when refusals are one and the same

    async def __aenter__(self) -> None:
        while self.active >= int(self.limit):
            turn = asyncio.get_running_loop().create_future()
            self.waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._wake()  # the turn may have been ours: pass it on
                raise
        self.active += 1

    async def __aexit__(self, *error) -> None:
        self.active -= 1
        self._wake()

    def answered(self, seconds: float) -> None:
        self.latency = seconds if not self.latency else 0.9 * self.latency + 0.1 * seconds
        if self.limit < self.most:
            self.limit = min(float(self.most), self.limit + 1 / self.limit)
            self._wake()

    def refused(self, wait: float | None = None) -> None:
        """`wait`: seconds that the server asks for, if it does."""
        now = time.monotonic()
        if now >= self.patience:
            self.limit = max(1.0, min(self.limit, self.active) * DECREASE)
            self.patience = now + max(self.latency, wait or 0.0)

    def _wake(self) -> None:
        free = int(self.limit) - self.active
        while free > 0 and self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1

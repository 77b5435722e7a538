"""How many requests may be in flight: the server's limit is found by asking.

Additive increase, multiplicative decrease (Chiu and Jain 1989): every answer raises the limit by 1/limit, so that a
round of answers raises it by one; a refusal (429, 503) takes a tenth off, once for all the requests that were already
on their way when it came.
"""

import asyncio
import time
from collections import deque

DECREASE = 0.9


class Throttle:
    """`async with throttle:` around each attempt; `refused` and `answered` tell it what came of it."""

    def __init__(self, most: int):
        self.most, self.limit = most, float(most)
        self.active = 0
        self.waiting: deque[asyncio.Future] = deque()
        self.lowered = 0.0  # when the limit was last lowered

    async def __aenter__(self) -> float:
        """Wait for a place; returns when the attempt began, for `refused`."""
        while self.active >= int(self.limit):
            turn = asyncio.get_running_loop().create_future()
            self.waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._wake()  # the turn may have been ours: pass it on
                raise
        self.active += 1
        return time.monotonic()

    async def __aexit__(self, *error) -> None:
        self.active -= 1
        self._wake()

    def answered(self) -> None:
        if self.limit < self.most:
            self.limit = min(float(self.most), self.limit + 1 / self.limit)
            self._wake()

    def refused(self, began: float) -> None:
        if began >= self.lowered:
            self.limit = max(1.0, min(self.limit, self.active) * DECREASE)
            self.lowered = time.monotonic()

    def _wake(self) -> None:
        free = int(self.limit) - self.active
        while free > 0 and self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1

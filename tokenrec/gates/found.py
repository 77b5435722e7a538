"""What batch checks share: findings that are made when they are read, and strings as numbers."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from .base import Finding


class Found(Mapping[int, Finding]):
    """Findings by position in the batch. `at` are the positions that have one; `make` says what it is."""

    def __init__(self, at: np.ndarray, make: Callable[[int], Finding]) -> None:
        self._at, self._make = np.sort(at), make

    def __contains__(self, i: object) -> bool:
        place = int(np.searchsorted(self._at, i))
        return place < len(self._at) and self._at[place] == i

    def __getitem__(self, i: int) -> Finding:
        if i not in self:
            raise KeyError(i)
        return self._make(int(i))

    def __iter__(self) -> Iterator[int]:
        return map(int, self._at)

    def __len__(self) -> int:
        return len(self._at)


def hashed(values: Sequence[str]) -> np.ndarray:
    """int64[n]: equal strings are equal numbers, within this process."""
    return np.fromiter(map(hash, values), np.int64, len(values))

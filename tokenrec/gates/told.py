"""The texts of a batch as numbers: each is split into words once, for all checks that look at them side by side."""

import itertools
import zlib
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from ..spool import Spool
from .text import is_cjk, nameless, stem, words


def numbers() -> Spool[np.ndarray]:
    """A spool of int32 arrays."""
    return Spool((), lambda row: row.tobytes(), lambda data: np.frombuffer(data, np.int32))


class Told(Sequence[str]):
    """Texts, in order. `rest[i]`: the words of text i without its subject's name, as places in `vocabulary`;
    `kept[i]`: the same, but all its words where fewer than 4 are left."""

    def __init__(self, texts: Sequence[str], names: Sequence[str]) -> None:
        self._texts, self.rest, self.kept = texts, numbers(), numbers()
        place: dict[str, int] = defaultdict()
        place.default_factory = place.__len__
        self.lengths = np.zeros(len(texts), np.int32)  # words in `kept`
        for i, (text, name) in enumerate(zip(texts, names, strict=True)):
            seq = words(text)
            rest = [place[w] for w in itertools.compress(seq, nameless(seq, name))]
            kept = rest if len(rest) >= 4 else [place[w] for w in seq]
            self.lengths[i] = len(kept)
            self.rest.append(np.array(rest, np.int32))
            self.kept.append(np.array(kept, np.int32))
        self.vocabulary = tuple(place)

    @classmethod
    def of(cls, texts: Sequence[str], names: Sequence[str]) -> "Told":
        return texts if isinstance(texts, Told) else cls(texts, names)

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, i):
        return self._texts[i]

    def __iter__(self):
        return iter(self._texts)

    @cached_property
    def hashes(self) -> np.ndarray:
        """uint64[words]: of each word of the vocabulary; the same in every batch."""
        crc = (zlib.crc32(w.encode("utf-8", "surrogatepass")) for w in self.vocabulary)
        return np.fromiter(crc, np.uint64, len(self.vocabulary))

    @cached_property
    def cjk(self) -> np.ndarray:
        """bool[words]: which are Han or kana characters."""
        return np.fromiter(map(is_cjk, self.vocabulary), bool, len(self.vocabulary))

    def stems(self, known: dict[str, int]) -> np.ndarray:
        """int32[words]: the number of each word's stem in `known`; -1 where it is not there."""
        return np.fromiter((known.get(stem(w), -1) for w in self.vocabulary), np.int32, len(self.vocabulary))

    def as_string(self, i: int) -> str:
        """`kept[i]` with a character for each word: string distances then count words (and are fast)."""
        return (self.kept[i] % 0x110000).astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def runs(ids: np.ndarray, hashes: np.ndarray, width: int) -> np.ndarray:
    """uint64[len - width + 1]: a hash of every run of `width` words of a text."""
    told = hashes[ids]
    n = max(0, len(told) - width + 1)
    found = np.zeros(n, np.uint64)
    for k in range(width):
        found = found * np.uint64(0x9E3779B97F4A7C15) + told[k : k + n]
    found ^= found >> np.uint64(29)
    return found * np.uint64(0xBF58476D1CE4E5B9)

"""Loops, and texts that stop before they end."""

import re
from collections import Counter
from operator import eq

from ..base import Finding
from ..text import clip, is_cjk, listed, sentences, tokens

LOOPS, CUT = "noise/loops", "noise/cut_off"

_LETTERS = re.compile(r"(\w)\1{7,}|([^\w\s])\2{7,}")
_END = re.compile(r"[.!?。！？…~～)\]\"'”’」』]\s*$")
_OPEN = re.compile(r"[,;:，、；：(\[{“「『&+/–—-]\s*$")
_DANGLING = listed(
    """a an the and or but of in on at to for with from by into as that which who whose than because while is are was
    were its their his her our your this these very so made served and/or between el la los las de y con para le les
    des du et avec der die das und mit von il di e per o os um uma"""
)
_DANGLING_CJK = frozenset("的和与與及以在把被让讓是而且或为為从從对對将將")


def loops(text: str) -> Finding:
    """Fails when the same words come again and again.

    A run of n words repeated in place (n = 1: five times, n up to 12: three times), a sentence said twice of at
    least five words, or fewer than half of all three-word runs distinct (texts of 24 words and more).
    Score: 1 - share of distinct three-word runs.
    """
    found = _LETTERS.search(text)
    if found:
        return Finding(LOOPS, False, 1.0, "one character over and over", clip(found.group()))
    seq = tokens(text)
    names = [t[0] for t in seq]
    for n in range(1, min(12, len(names) // 3) + 1):
        need = 5 if n == 1 else 3
        if sum(map(eq, names[n:], names)) < n * (need - 1):
            continue
        same = 0
        for i in range(n, len(names)):
            same = same + 1 if names[i] == names[i - n] else 0
            if same >= n * (need - 1):
                start = i - same - n + 1
                quote = clip(text[seq[start][1] : seq[i][2]])
                return Finding(LOOPS, False, 1.0, f"{need} times the same {n} words", quote)
    seen = set()
    for sentence in sentences(text):
        key = sentence.casefold()
        if key in seen and len(tokens(sentence)) >= 5:
            return Finding(LOOPS, False, 1.0, "a sentence said twice", clip(sentence))
        seen.add(key)
    runs = [tuple(names[i : i + 3]) for i in range(len(names) - 2)]
    if not runs:
        return Finding(LOOPS, True)
    score = round(1 - len(set(runs)) / len(runs), 4)
    if len(names) >= 24 and score > 0.5:
        common = Counter(runs).most_common(1)[0][0]
        at = runs.index(common)
        return Finding(LOOPS, False, score, "most of it is repeated", clip(text[seq[at][1] : seq[at + 2][2]]))
    return Finding(LOOPS, True, score)


def cut_off(text: str, finish_reason: str = "") -> Finding:
    """Fails when the text stops mid-sentence.

    With finish_reason "length" any text without a closing mark was cut. Otherwise a missing full stop proves
    nothing (menu lines have none): it must end in an opening mark, a comma or a word that wants another.
    """
    seq = tokens(text)
    if not seq or _END.search(text):
        return Finding(CUT, True)
    last = seq[-1][0]
    tail = text[seq[max(0, len(seq) - 6)][1] :]
    if finish_reason in ("length", "max_tokens"):
        return Finding(CUT, False, 1.0, "cut off at the limit of LM tokens", clip(tail))
    if len(seq) >= 3 and (_OPEN.search(text) or last in (_DANGLING_CJK if is_cjk(last) else _DANGLING)):
        return Finding(CUT, False, 1.0, "stops mid-sentence", clip(tail))
    return Finding(CUT, True)

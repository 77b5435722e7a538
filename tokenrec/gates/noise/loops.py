"""Loops, and texts that stop before they end."""

import re
from collections import Counter
from operator import eq

from ..base import Finding
from ..text import clip, is_cjk, listed, sentences, tokens, words

LOOPS, CUT = "noise/loops", "noise/cut_off"

_LETTERS = re.compile(r"(\w)\1{7,}|([^\w\s])\2{7,}")
_END = frozenset(".!?。！？…~～)]\"'”’」』")
_OPEN = frozenset(",;:，、；：([{“「『&+/–—-")
_TWICE = 0.2
_DANGLING = listed(
    """a an the and or but of in on at to for with from by into as that which who whose than because while is are was
    were its their his her our your this these very so made served and/or between el la los las de y con para le les
    des du et avec der die das und mit von il di e per o os um uma"""
)
_DANGLING_CJK = frozenset("的和与與及以在把被让讓是而且或为為从從对對将將")


def loops(text: str) -> Finding:
    """Fails when the same words come again and again.

    A run of n words repeated in place (n = 1: five times, n up to 12: three times), a sentence of at least five words
    said twice, or fewer than half of all three-word runs distinct (texts of 24 words and more). A sentence counts when
    its copy is next to it or ends a line (a list), or when such copies make a fifth of the text: a forecast may say of
    two days that it will rain.
    Score: 1 - share of distinct three-word runs.
    """
    found = _LETTERS.search(text)
    if found:
        return Finding(LOOPS, False, 1.0, "one character over and over", clip(found.group()))
    names = words(text)
    runs = list(zip(names, names[1:], names[2:], strict=False))
    again = len(runs) - len(set(runs))
    if again < 2:  # whatever is said over and over says some three words in a row again, at least twice
        return Finding(LOOPS, True, round(1 - (len(runs) - again) / len(runs), 4) if runs else None)
    last: dict[tuple[str, ...], int] = {}
    near = any(i - last.get(run, -99) <= 12 or last.update({run: i}) for i, run in enumerate(runs))
    for n in range(1, min(12, len(names) // 3) + 1) if near else ():
        need = 5 if n == 1 else 3
        if sum(map(eq, names[n:], names)) < n * (need - 1):
            continue
        same = 0
        for i in range(n, len(names)):
            same = same + 1 if names[i] == names[i - n] else 0
            if same >= n * (need - 1):
                seq = tokens(text)
                start = i - same - n + 1
                quote = clip(text[seq[start][1] : seq[i][2]])
                return Finding(LOOPS, False, 1.0, f"{need} times the same {n} words", quote)
    seen: dict[str, int] = {}
    twice = 0
    for i, sentence in enumerate(sentences(text)):
        key = sentence.casefold()
        if key in seen and len(words(sentence)) >= 5:
            twice += len(words(sentence))
            lines = sum(line.endswith(sentence) for line in text.splitlines())
            if seen[key] == i - 1 or lines > 1 or twice >= _TWICE * len(names):
                return Finding(LOOPS, False, 1.0, "a sentence said twice", clip(sentence))
        seen[key] = i
    score = round(1 - (len(runs) - again) / len(runs), 4)
    if len(names) >= 24 and score > 0.5:
        common = Counter(runs).most_common(1)[0][0]
        at, seq = runs.index(common), tokens(text)
        return Finding(LOOPS, False, score, "most of it is repeated", clip(text[seq[at][1] : seq[at + 2][2]]))
    return Finding(LOOPS, True, score)


def cut_off(text: str, finish_reason: str = "") -> Finding:
    """Fails when the text stops mid-sentence.

    With finish_reason "length" any text without a closing mark was cut. Otherwise a missing full stop proves
    nothing (menu lines have none): it must end in an opening mark, a comma or a word that wants another.
    """
    seq = words(text)
    end = text.rstrip()[-1:]
    if not seq or end in _END:
        return Finding(CUT, True)
    last = seq[-1]
    if finish_reason in ("length", "max_tokens"):
        return Finding(CUT, False, 1.0, "cut off at the limit of LM tokens", _tail(text))
    if len(seq) >= 3 and (end in _OPEN or last in (_DANGLING_CJK if is_cjk(last) else _DANGLING)):
        return Finding(CUT, False, 1.0, "stops mid-sentence", _tail(text))
    return Finding(CUT, True)


def _tail(text: str) -> str:
    return clip(text[tokens(text)[-6:][0][1] :])

"""Contests: a record with two sides (home and away) and their scores; who won, by what score, in which period."""

import re

from ..text import STOP, stem, words
from .facts import Facts

_HOME = re.compile(r"^home\b", re.I)
_AWAY = re.compile(r"^(?:away|vis(?:itors?|iting)?|guests?)\b", re.I)
_SCORE = re.compile(r"\b(?:scores?|pts|points?|goals?|runs?|qtr|quarter|period)\b", re.I)
_PERIOD = re.compile(r"\b(?:period|qtr|quarter|set|inning|half)\s?(\d)\b", re.I)
_FINAL = re.compile(r"\b(?:current|display|total|final|pts|points?)\b", re.I)
_VALUE = re.compile(r"(?::\s*|\s)(\d{1,4})\s*$")
_PAIR = re.compile(r"(?<![\d.,-])(\d{1,3})\s?[-–:]\s?(\d{1,3})(?!\d|[.,:]\d|\s?[-–]\s?\d)")
_WON = re.compile(
    r"\b(?:w[io]n(?:s|ning|ners?)?|defeat\w*|beat\w*|victor\w+|triumph\w*|prevail\w*|edged|secur\w+)\b", re.I
)
_LOST = re.compile(r"\b(?:lost|los(?:es|ing|s)|defeated by|fell (?:to|short))\b", re.I)
_ORDINALS = {"first": 1, "1st": 1, "opening": 1, "second": 2, "2nd": 2, "third": 3, "3rd": 3, "fourth": 4, "4th": 4}
_ORDINALS["final"] = 3
_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_COUNTS = {w: i for i, w in enumerate(_NUMBERS)} | {"no": 0, "once": 1, "twice": 2}
_COUNT = re.compile(rf"\b(\d{{1,2}}|{'|'.join(_COUNTS)})\s+(?:\w+\s+)?(?:goals?|points?)?", re.I)
_BLANK = re.compile(
    r"\b(?:scoreless|goalless|no goals?|without (?:a goal|scoring)|failed to score|shutout|unable to score)\b", re.I
)
_WHEN = re.compile(
    rf"\b({'|'.join(_ORDINALS)})\s+(?:and\s+(?:{'|'.join(_ORDINALS)})\s+)?(?:period|frame|quarter|half|set)", re.I
)
_CLAUSE = re.compile(r",\s+|\bwhile\b|\bbut\b|;")
NAMES = ("pair_wrong", "pair_final", "winner_wrong", "goals_wrong", "goals_ok", "blank_wrong")


class Sides:
    """The two sides of a contest, if the record has them: name words, score by period (0 is the final one)."""

    def __init__(self, facts: Facts):
        self.names: tuple[set[str], set[str]] = (set(), set())
        self.scores: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for fact in facts.facts[:400]:
            self._read(re.sub(r"(?<=[a-z])(?=[A-Z]|\d)|_", " ", fact))
        shared = self.names[0] & self.names[1]
        self.names = (self.names[0] - shared, self.names[1] - shared)
        self.there = all(0 in s for s in self.scores)

    def _read(self, fact: str) -> None:
        side = 0 if _HOME.match(fact) else 1 if _AWAY.match(fact) else None
        if side is None:
            return
        head, _, tail = fact.partition(":")
        value = _VALUE.search(fact)
        if value and _SCORE.search(head):
            period = _PERIOD.search(head)
            if period or _FINAL.search(head):
                self.scores[side].setdefault(int(period[1]) if period else 0, int(value[1]))
        elif re.search(r"\bname\b", head, re.I) and not re.search(r"sport|country|code", head, re.I):
            self.names[side].update(stem(w) for w in words(tail) if w not in STOP)

    def features(self, sentence: str) -> dict[str, float]:
        """Claims that the scores contradict, by kind (NAMES); nan where no such claim or no contest is found."""
        got = dict.fromkeys(NAMES, float("nan"))
        if not self.there:
            return got
        home, away = self.scores
        pairs = [(int(m[1]), int(m[2])) for m in _PAIR.finditer(sentence)]
        if pairs:
            known = self._pairs()
            got["pair_wrong"] = sum(p not in known and p[::-1] not in known for p in pairs)
            got["pair_final"] = sum(sorted(p) == sorted((home[0], away[0])) for p in pairs)
        won = _WON.search(sentence) if not _LOST.search(sentence) else None
        who = self._side(sentence[: won.start()]) if won and home[0] != away[0] else None
        if who is not None:
            got["winner_wrong"] = float((home[0] > away[0]) != (who == 0))
        wrong = right = 0
        for clause in _CLAUSE.split(sentence):
            when = []
            if _WHEN.search(clause):
                when = [_ORDINALS[w] for w in re.findall(r"\w+", clause.lower()) if w in _ORDINALS]
            side = self._side(clause)
            scores = self.scores if side is None else (self.scores[side],)
            if when and _BLANK.search(clause):
                scored = float(any(s.get(p, 0) for s in scores for p in when))
                got["blank_wrong"] = max(scored, got["blank_wrong"]) if got["blank_wrong"] >= 0 else scored
            for n in _counts(clause):
                fine = (
                    any(s.get(p, 0) == n for s in scores for p in when)
                    if when
                    else any(n in s.values() for s in scores)
                )
                wrong, right = wrong + (not fine), right + fine
        if wrong + right:
            got["goals_wrong"], got["goals_ok"] = wrong, right
        return got

    def _pairs(self) -> set[tuple[int, int]]:
        """Scores of each period, and at the end of each."""
        home, away = self.scores
        found = {(home.get(p, 0), away.get(p, 0)) for p in home.keys() | away.keys() | {1, 2, 3}}
        h = a = 0
        for p in range(1, 5):
            h, a = h + home.get(p, 0), a + away.get(p, 0)
            found.add((h, a))
        return found

    def _side(self, text: str) -> int | None:
        """The side that is named last in `text`; None when neither or nothing tells them apart."""
        last = None
        for word in map(stem, words(text)):
            home = word in self.names[0] or word in ("home", "host")
            away = word in self.names[1] or word in ("away", "visitor", "visiting", "guest")
            if home != away:
                last = 0 if home else 1
        return last


def _counts(clause: str) -> list[int]:
    """How many goals or points a clause speaks of; "once" and "twice" speak for themselves."""
    found = []
    for m in _COUNT.finditer(clause):
        word = m[1].lower()
        if word in ("once", "twice") or "goal" in m.group().lower() or "point" in m.group().lower():
            found.append(int(word) if word.isdigit() else _COUNTS[word])
    return found

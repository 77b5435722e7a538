"""What GEPA's reflector is told of one answer: its score, the lists that it moved, its words, and what gates said.

Users are never named; items by their name only where `privacy.send` lets it go. What comes from the catalogue or from a
model is fenced and cut.
"""

import re
from collections import Counter

import numpy as np

from tokenrec.compiler.desk import Said
from tokenrec.compiler.reflector import fenced
from tokenrec.compiler.session import Session
from tokenrec.dataset.types import HISTORY
from tokenrec.features.types import Vectors
from tokenrec.gates.base import Candidate, Finding
from tokenrec.generate.judging import typed_raw
from tokenrec.store import completions as store
from tokenrec.tasks.inputs import display_name
from tokenrec.tasks.spec import TaskSpec

LISTS = 3  # that are shown of an answer: those it moved most
WORDS = 6
QUOTE = 120  # characters of anything quoted


class Feedback:
    """Feedback on one answer at a time. `tokens`: subject → what the incumbent wrote, the measure of all others.

    Those about items and about users differ in what `_moved`, which words are `_shared`, and what is `_written_of` an
    item.
    """

    def __init__(self, session: Session, spec: TaskSpec, scorer, reward, code: dict, tokens: dict):
        self.session, self.spec, self.scorer, self.reward, self.code = session, spec, scorer, reward, code
        self.tokens = tokens
        sent, items = session.recipe.privacy.send, session.recipe.data.items
        self.named = sent is None or (items.name or items.text[0]) in sent

    def __call__(
        self, example, said: Said, vector: np.ndarray | None, findings: list[Finding], score: float
    ) -> str:
        """The feedback on one answer; `vector` is the columns that it becomes, None when it was rejected."""
        code = self.code[example.subject]
        old = self.tokens.get(example.subject)
        before = self.reward.score(code, self.reward.reference[code] if old else None)
        lines = [f"Score {score:.2f}; the present instruction's answer has {before:.2f} (0.5 says nothing, 1 is best)."]
        if old:
            lines.append(f"That answer: {fenced(self._words_of(old), QUOTE)}")
        if said.raw is None:
            lines.append("There was no answer.")
        for f in [f for f in findings if not f.passed]:
            quote = f" It quotes {fenced(f.quote, QUOTE)}" if f.quote else ""
            lines.append(f"Rejected by the gate {f.gate}: {fenced(f.reason, QUOTE)}{quote}")
        if vector is not None:
            lines += self._moved(code, vector)
            lines += self._shared(code, said)
        return "\n".join(lines)

    def _read(self, said: Said) -> dict:
        raw = typed_raw(self.spec, said.raw or "", said.probabilities, self.scorer.incumbent)
        return self.scorer.judge.read(Candidate("", self.spec.name, "", raw, None, {})) or {}

    def _name(self, item: int) -> str:
        """An item, by its name where that may be sent, and what is written of it."""
        name = display_name(self.session.recipe, self.session.dataset.items[item]) if self.named else ""
        wrote = self._written_of(item)
        return fenced(": ".join(x for x in (name or "another item", wrote) if x), QUOTE)

    def _told_of(self, moves: list[tuple[int, int, int | None, int | None]], head: str) -> list[str]:
        """(place by the old answer, by this one, the item or None in a list of its own, the item above it) of each
        move: how many there are, and the largest of them."""
        moves = sorted(moves, key=lambda m: -abs(m[0] - m[1]))
        up, down = sum(n < w for w, n, *_ in moves), sum(n > w for w, n, *_ in moves)
        lines = [head.format(n=len(moves), up=up, down=down)]
        for number, (was, now, item, above) in enumerate(moves[:LISTS], 1):
            where = f"List {number}" if item is None else self._name(item)
            beaten = "" if above is None else f"; above it stands {self._name(above)}"
            lines.append(f"{where}: place {was:,} by the old answer, {now:,} by this one{beaten}.")
        return lines

    def _words_of(self, answer: dict | None) -> str:
        values = [v if isinstance(v, list) else [v] for v in (answer or {}).values()]
        return ", ".join(str(v) for many in values for v in many)

    def _typical(self, theirs: Counter, everyone: Counter, own: set[str], whose: str) -> list[str]:
        """Words that `theirs` have oftener than `everyone`: those that the answer shares, and those that it lacks."""
        total, n = max(sum(theirs.values()), 1), max(sum(everyone.values()), 1)
        typical = sorted(theirs, key=lambda w: (-(theirs[w] / total) / (everyone[w] / n), w))
        typical = [w for w in typical if theirs[w] > 1 and theirs[w] / total > everyone[w] / n]
        shared, lacking = [w for w in typical if w in own], [w for w in typical if w not in own]
        lines = []
        if shared:
            lines.append(f"Its words that {whose} share: {fenced(', '.join(shared[:WORDS]), QUOTE)}")
        if lacking:
            lines.append(f"Words of {whose} that it lacks: {fenced(', '.join(lacking[:WORDS]), QUOTE)}")
        return lines


class ItemFeedback(Feedback):
    """Of answers about items, in the lists of users who liked the item later."""

    def __init__(self, *args):
        super().__init__(*args)
        e = self.session.dataset.events
        past = e.positive & (e.window == HISTORY)
        self.liked: dict[int, set[int]] = {}
        for user, item in zip(e.user[past], e.item[past], strict=True):
            self.liked.setdefault(int(user), set()).add(int(item))
        self.matrix = np.nan_to_num((self.reward.reference - self.reward.mean) / self.reward.scale)

    def _written_of(self, item: int) -> str:
        return self._words_of(self.tokens.get(self.session.dataset.item_ids[item]))

    def _moved(self, item: int, vector: np.ndarray) -> list[str]:
        """In the lists of users who liked the item later: its place by either text, and what stands above it."""
        new = (vector - self.reward.mean) / self.reward.scale
        moves = []
        for user in sorted(self.reward.likers.get(item, ())):
            likeness = np.round(self.matrix @ self.reward.profile[user], 5)
            rivals = np.ones(len(likeness), bool)
            rivals[[*self.liked.get(user, ()), item]] = False
            own = round(float(self.reward.profile[user] @ new), 5)
            was, now = (int((likeness[rivals] > x).sum()) + 1 for x in (likeness[item], own))
            above = np.flatnonzero(rivals & (likeness > own))
            moves.append((was, now, None, int(above[np.argmax(likeness[above])]) if len(above) else None))
        head = "{n} users liked this item later: it rises in the lists of {up} and sinks in {down}."
        return self._told_of(moves, head)

    def _shared(self, item: int, said: Said) -> list[str]:
        """Which words of the answer the histories of those users share, and which words they have that it lacks."""
        likers = self.reward.likers.get(item, ())
        theirs = Counter()
        for user in likers:
            for other in self.liked.get(user, ()):
                theirs.update(set(_words(self._written_of(other))))
        everyone = Counter()
        for answer in self.tokens.values():
            everyone.update(set(_words(self._words_of(answer))))
        own = set(_words(self._words_of(self._read(said))))
        return self._typical(theirs, everyone, own, "those users' liked items")


class UserFeedback(Feedback):
    """Of answers about users, in the user's own list. `met`: the item vectors that answers are compared with."""

    found = "This user liked {n} of the items later: {up} of them rise, {down} sink."
    whose = "what this user liked later"

    def __init__(self, session: Session, spec: TaskSpec, scorer, reward, code: dict, tokens: dict, met: list[Vectors]):
        super().__init__(session, spec, scorer, reward, code, tokens)
        tasks = dict.fromkeys(v.source for v in met if v.source in session.recipe.tasks)
        self.written = [store.tokens(session.db, session.recipe.name, task) for task in tasks]
        self.words = [Counter(set(_words(self._told(i)))) for i in range(len(session.dataset.item_ids))]
        self.everyone = sum(self.words, Counter())

    def _told(self, item: int) -> str:
        """What answers may share words with: the item's name, where that may be sent, and what tasks wrote of it."""
        name = display_name(self.session.recipe, self.session.dataset.items[item]) if self.named else ""
        return f"{name} {self._written_of(item)}"

    def _written_of(self, item: int) -> str:
        subject = self.session.dataset.item_ids[item]
        return ", ".join(x for tokens in self.written if (x := self._words_of(tokens.get(subject))))

    def _moved(self, code: int, vector: np.ndarray) -> list[str]:
        """The places of what the user liked later, by the old answer and by this one, and what stands above it."""
        rivals = self.reward.known.copy()
        rivals[[*self.reward.seen.get(code, ()), *self.reward.find[code]]] = False
        old, new = (self.reward.towards(v).round(9) for v in (np.nan_to_num(self.reward.reference[code]), vector))
        moves = []
        for item in sorted(i for i in self.reward.find[code] if self.reward.known[i]):
            above = np.flatnonzero(rivals & (new > new[item]))
            was, now = (int((x[rivals] > x[item]).sum()) + 1 for x in (old, new))
            moves.append((was, now, item, int(above[np.argmax(new[above])]) if len(above) else None))
        return self._told_of(moves, self.found)

    def _shared(self, code: int, said: Said) -> list[str]:
        """Which words the answer shares with the items that the user liked later, and which of theirs it lacks."""
        theirs = sum((self.words[i] for i in self.reward.find[code]), Counter())
        own = set(_words(self._words_of(self._read(said))))
        return self._typical(theirs, self.everyone, own, self.whose)


class RequestFeedback(UserFeedback):
    """Of requests, in the ranking that each of them makes."""

    found = "Whoever asked likes {n} more items, which the prompt did not show: {up} of them rise, {down} sink."
    whose = "what they like and was not shown"


def feedback_for(
    session: Session, spec: TaskSpec, scorer, reward, code: dict, tokens: dict, met: list[Vectors]
) -> Feedback:
    """The feedback on answers of a task, by whom it is about."""
    if spec.subject == "set":
        return RequestFeedback(session, spec, scorer, reward, code, tokens, met)
    if spec.subject == "user":
        return UserFeedback(session, spec, scorer, reward, code, tokens, met)
    return ItemFeedback(session, spec, scorer, reward, code, tokens)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]{3,}", text.casefold())

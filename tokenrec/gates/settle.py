"""From scores to a decision on one text: by the threshold that keeps a promise, whole or sentence by sentence.

No judge is asked again: a changed threshold needs only what `check` has found.
"""

from collections.abc import Sequence
from dataclasses import replace

from .base import RECALIBRATED, RISK, Finding, Part
from .calibration import Third
from .checks import Rules, Source
from .scoring import gate_of
from .sentences import DROPPED, sound, without
from .text import clip

UNHEARD = "not promised: its judge has not been asked about this text. run: tokenrec compile"
SETTLED = (RISK, DROPPED)  # gates whose findings follow from scores
UNSET = "no labels have set a threshold yet. run: tokenrec audit, then tokenrec eval --recalibrate"


def settle(text: str, rules: Rules, source: Source, findings: Sequence[Finding]) -> tuple[str, list[Finding]]:
    """(the text that is kept, the findings with what was decided). `findings`: of this text, all passed."""
    gone = {f.gate: f for f in findings}.get(DROPPED)
    cut = {(start, end) for start, end, _ in gone.parts} if gone else set()
    said = [f for gate in (RECALIBRATED, gate_of(rules.judge)) for f in findings if f.gate == gate]
    judged = next((f for f in said if f.parts), None)
    if not said and rules.factuality:  # nothing is promised of a text that its judge has not seen
        return without(text, cut), [*findings, Finding(RISK, rules.factuality.on_unmet == "flag", None, UNHEARD)]
    if judged is None or (rules.factuality is None and rules.calibration is None):
        return without(text, cut), list(findings)
    live = [p for p in judged.parts if (p[0], p[1]) not in cut]
    third = rules.calibration.of(source.record) if rules.calibration else Third()
    if rules.factuality is None:
        return without(text, cut), [*findings, Finding(RISK, True, round(third.text(live), 4))]
    asked = rules.factuality
    if rules.calibration is None or not rules.calibration.keeps(asked.risk, asked.confidence):
        return without(text, cut), [*findings, _unmet(rules, third, live)]
    bad = [p for p in live if p[2] >= third.threshold]
    if not bad:
        return without(text, cut), [*findings, Finding(RISK, True, round(third.text(live), 4))]
    quote = max(bad, key=lambda p: p[2])
    why = f"{len(bad)} of {len(live)} sentences reach {quote[2]:.2f}, and below {third.threshold:.2f} is accepted"
    if rules.drop and len(bad) < len(live):
        cut |= {(start, end) for start, end, _ in bad}
        rest = without(text, cut)
        if sound(rest, rules, source):
            left = third.text([p for p in live if p not in bad])
            parts = tuple(sorted((*(gone.parts if gone else ()), *bad)))
            first = gone or Finding(DROPPED, True, None, f"dropped: {why}", clip(text[quote[0] : quote[1]]))
            kept = [f for f in findings if f.gate != DROPPED]
            return rest, [*kept, replace(first, parts=parts), Finding(RISK, True, round(left, 4))]
    return text, [*findings, Finding(RISK, False, round(third.text(live), 4), why, clip(text[quote[0] : quote[1]]))]


def unsettled(findings: Sequence[Finding]) -> list[Finding]:
    """The findings as they were before `settle`: what the rules took out stays out."""
    found = []
    for f in findings:
        if f.gate == DROPPED:
            f = replace(f, parts=tuple(p for p in f.parts if p[2] == 1.0))
        if f.gate not in SETTLED or f.parts:
            found.append(f)
    return found


def _unmet(rules: Rules, third: Third, live: Sequence[Part]) -> Finding:
    said = rules.calibration.said if rules.calibration else UNSET
    return Finding(RISK, rules.factuality.on_unmet == "flag", round(third.text(live), 4), f"not promised: {said}")

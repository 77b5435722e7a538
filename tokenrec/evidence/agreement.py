"""How far two people agree who labelled the same texts: Cohen's kappa (1960)."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tokenrec.evidence.rates import clopper_pearson

LEAST = 20  # texts with two labels below which kappa is not said


def agreement(pairs: Sequence[tuple[str, str]]) -> dict[str, Any] | None:
    """Of texts with two labels, (the earlier, the later): how many agree, and kappa with a 95% interval; None without
    any. kappa is null below LEAST, or where both only ever gave one and the same label.

    kappa = (a - c) / (1 - c): a, the share that agrees; c, what chance would give by each one's labels. The interval is
    a's exact one with c held as it was found: the usual normal interval has width 0 where nobody disagreed.
    """
    if not pairs:
        return None
    n, counts = len(pairs), Counter(pairs)
    agree = sum(m for (a, b), m in counts.items() if a == b)
    first, second = (Counter(labels) for labels in zip(*pairs, strict=True))
    chance = sum(first[x] * second[x] for x in first) / n**2
    found: dict[str, Any] = {"doubled": n, "agree": agree, "kappa": None, "low": None, "high": None}
    if n >= LEAST and chance < 1:
        ends = (agree / n, *clopper_pearson(agree, n))
        kappas = [max(-1.0, (a - chance) / (1 - chance)) for a in ends]
        found |= dict(zip(("kappa", "low", "high"), kappas, strict=True))
    return found | {"pairs": [{"first": a, "second": b, "n": m} for (a, b), m in sorted(counts.items())]}

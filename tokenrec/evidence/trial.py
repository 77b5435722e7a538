"""A suite's cases through the gates: what is caught, what is refused for nothing."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tokenrec.evidence.outside import raw_answer
from tokenrec.evidence.suite import Case, LoadedSuite, together
from tokenrec.gates.base import Candidate, Verdict
from tokenrec.gates.build import terms_for
from tokenrec.gates.judge import Judge
from tokenrec.recipe.models import Recipe
from tokenrec.recipe.refs import choices_of


@dataclass(frozen=True)
class Tried:
    """A case and what the gates said of it."""

    case: Case
    verdict: Verdict

    @property
    def refused(self) -> bool:
        return self.verdict.state != "accepted"


def try_cases(loaded: LoadedSuite) -> list[Tried]:
    """Judge every case, those of a batch together; in the order of the files, neighbours left out."""
    verdicts: dict[str, Verdict] = {}
    for task in loaded.suite.tasks:
        cases = [c for c in loaded.cases if c.task == task]
        judge = judge_of(loaded, task, cases)
        if not together(loaded.suite, task):
            verdicts |= {c.id: judge.verdict(c.id, judge.check(candidate(judge, c))) for c in cases}
            continue
        batches = defaultdict(list)
        for case in cases:
            batches[case.batch].append(candidate(judge, case))
        for batch in batches.values():
            verdicts |= judge.judge(batch)
    return [Tried(c, verdicts[c.id]) for c in loaded.cases if c.expect]


def judge_of(loaded: LoadedSuite, name: str, cases: list[Case]) -> Judge:
    """The gates of a task, as of a recipe whose catalogue is the cases' own records and those of its file."""
    task = loaded.suite.tasks[name]
    recipe = Recipe.model_construct(tasks=loaded.suite.tasks)
    choices = {o: choices_of(recipe, name, o) for o, out in task.outputs.items() if out.choices}
    own, more = {c.about: c.record for c in cases}, loaded.records.get(name, [])
    names = [c.name for c in cases if c.name] + [r[k] for r in more for k in ("name", "title") if r.get(k)]
    return Judge(name, task, choices, terms_for(task.for_, task.outputs, [*own.values(), *more], names))


def candidate(judge: Judge, case: Case) -> Candidate:
    raw = raw_answer(judge.task, case.output)
    return Candidate(case.id, case.task, case.about, raw, None, case.record, case.name, case.finish_reason)


def document(loaded: LoadedSuite, tried: list[Tried]) -> dict[str, Any]:
    """The JSON document of a suite: shares, by kind, and every case that the gates got wrong."""
    suite = loaded.suite
    struck = [t for t in tried if t.case.id in suite.struck]
    scored = [t for t in tried if t.case.id not in suite.struck]
    kinds: dict[str, list[Tried]] = defaultdict(list)
    for t in scored:
        kinds[t.case.kind].append(t)
    counts = _counts(scored)
    shares = {"caught": _share(counts["caught"], counts["reject"]),
              "false_alarms": _share(counts["false_alarms"], counts["accept"])}  # fmt: skip
    notes = [f"skipped: {loaded.missing}"] if loaded.missing else []
    return {
        "kind": "suite",
        "schema_version": 1,
        "suite": suite.name,
        "cases": len(scored),
        **shares,
        "by_kind": {kind: _counts(found) for kind, found in sorted(kinds.items())},
        "missed": [_shown(t) for t in scored if t.case.expect == "reject" and not t.refused],
        "refused": [_shown(t) for t in scored if t.case.expect == "accept" and t.refused],
        "struck": [_shown(t) | {"why": suite.struck[t.case.id]} for t in struck],
        "failed_limits": _limits(suite.fail_if, shares),
        "notes": notes,
    }


def _counts(tried: Iterable[Tried]) -> dict[str, int]:
    found = Counter((t.case.expect, t.refused) for t in tried)
    return {
        "reject": found["reject", True] + found["reject", False],
        "caught": found["reject", True],
        "accept": found["accept", True] + found["accept", False],
        "false_alarms": found["accept", True],
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _shown(t: Tried) -> dict[str, Any]:
    reasons = [{"gate": f.gate, "reason": f.reason, "quote": f.quote} for f in t.verdict.reasons]
    case = t.case
    return {"id": case.id, "place": case.place, "task": case.task, "kind": case.kind, "why": case.why,
            "output": _text(case.output), "reasons": reasons}  # fmt: skip


def _text(output: Any) -> str:
    only = next(iter(output.values())) if isinstance(output, dict) and len(output) == 1 else output
    return only if isinstance(only, str) else json.dumps(output, ensure_ascii=False)


def _limits(fail_if: dict[str, str], shares: dict[str, float | None]) -> list[dict[str, Any]]:
    """The limits that do not hold, or that no case can speak of."""
    broken = []
    for key, limit in fail_if.items():
        value, bound = shares[key], float(limit.strip()[1:])
        tripped = value is not None and (value < bound if key == "caught" else value > bound)
        if tripped or value is None:
            said = "failed" if tripped else "unknown"
            broken.append({"limit": f"{key} {limit.strip()}", "value": value, "verdict": said})
    return broken

"""The prompt coming back: its instruction, its worked examples, its scaffolding."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from rapidfuzz import fuzz

from ..base import Finding
from ..text import clip, covered, longest_run, mostly_cjk, shingles, strings, tokens, words

GATE = "noise/echo"
_SCAFFOLD = re.compile(
    r"(?im)^\s*(?:input|output|instruction|answer|response|user|assistant|system|question|task|example|json|note)s?\s*(?:\d+\s*)?[:：]"
    r"|\[\[\s*##|\b(?:in|with|using|at most|no more than|fewer than|under) \d+ words\b|\breturn (?:only )?(?:a )?json\b"
    r"|\b(?:your|the) (?:task|instructions?) (?:is|are) to\b|\b(?:input|output) fields?\b|\blanguage model\b"
    r"|(?:^|\n)(?:输入|输出|指令|示例|回答|问题)[:：]"
)
_MAYBE = re.compile(r"(?i)[:：\[]|words|json|task|instruct|field|model")  # one of these is in any scaffold
_LABEL = re.compile(r"(?:^|\n)\s*([^\W\d][\w ]{0,40}?)\s*[:：]")
CLOSE = 85  # rapidfuzz ratio at which a text counts as an example's output


def echo(
    text: str,
    record: Mapping[str, Any],
    instruction: str = "",
    examples: Sequence[Mapping[str, Any]] = (),
    fields: Sequence[str] = (),
) -> Finding:
    """Fails when the text repeats the instruction or a worked example, or shows the prompt's scaffolding: also a line
    that begins with the name of a field, one of the record's or of the task's own `fields`.

    A run of 8 words (Han: 14), or half of the text, counts, unless the record says the same words: then it is
    the source that speaks. An example about this very record is left out. Score: the closest example's ratio / 100.
    """
    found = _SCAFFOLD.search(text) if _MAYBE.search(text) else None
    if found and found.group().strip() not in " ".join(strings(record)):
        return Finding(GATE, False, 1.0, "the prompt's scaffolding", clip(found.group().strip()))
    for label in _LABEL.finditer(text) if ":" in text or "：" in text else ():
        if label[1].casefold().replace(" ", "_") in {f.casefold() for f in (*record, *fields)}:
            return Finding(GATE, False, 1.0, "the name of a field of the prompt", clip(label.group().strip()))
    names = words(text)
    if len(names) < 3:
        return Finding(GATE, True)
    k, run = (8, 14) if mostly_cjk(text, len(names)) else (5, 8)
    others = [e for e in examples if not _same_record(e, record)]
    sources = [("the instruction", instruction)] + [("a worked example", s) for e in others for s in _long(e, k)]
    own = None
    for what, source in sources:
        mask = covered(names, _runs(source, k), k)
        if not any(mask):
            continue
        if own is None:
            own = covered(names, set().union(*(shingles(words(s), k) for s in strings(record))), k)
        mask = [m and not o for m, o in zip(mask, own)]
        seq, (a, b) = tokens(text), longest_run(mask)
        if b - a >= run or sum(mask) >= len(mask) / 2:
            return Finding(GATE, False, 1.0, f"repeats {what}", clip(text[seq[a][1] : seq[b - 1][2]]))
    closest, flat = 0.0, " ".join(names)
    for source in (s for e in others for s in strings(_outputs(e, record))):
        closest = max(closest, fuzz.ratio(flat, " ".join(words(source)), score_cutoff=50))
    if closest >= CLOSE and len(names) >= 4:
        return Finding(GATE, False, closest / 100, "nearly a worked example's output", clip(text))
    return Finding(GATE, True, round(closest / 100, 4))


@lru_cache(maxsize=256)  # the prompt is the same for every text
def _runs(source: str, k: int) -> set[tuple[str, ...]]:
    return shingles(words(source), k)


def _same_record(example: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    shared = [key for key in example if key in record]
    return bool(shared) and all(example[key] == record[key] for key in shared)


def _outputs(example: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in example.items() if key not in record}


def _long(example: Mapping[str, Any], k: int) -> list[str]:
    return [s for s in strings(example) if len(s) > k]

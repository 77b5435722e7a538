"""The gates: checks of what an LM wrote. A list of strings needs `check_texts`; CHECKS.md describes each check."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .base import Verdict


def check_texts(
    texts: Sequence[str],
    records: Sequence[Mapping[str, Any]] | None = None,
    names: Sequence[str] | None = None,
    *,
    catalogue: Sequence[str] | None = None,
    instruction: str = "",
    **output: Any,
) -> "list[Verdict]":
    """A verdict a text, in order: `state` (accepted, rejected; malformed where it is empty) and `reasons`, each with
    `gate`, `reason` and the offending words as `quote`.

    Texts are taken to speak of a subject each, and are also compared with one another. records: what each was written
    from; then its claims must follow from it (`grounding="open"` or "none" otherwise). names: what readers call the
    subjects. catalogue: titles of which every text must be one (or, with `new=True`, none). instruction: what the LM
    was told, not to be repeated. output: `max_words`, `language` and whatever else a recipe says of an output.
    Raises InputError for lists of unequal lengths, pydantic's ValidationError for an unknown key.
    """
    import json

    from ..errors import InputError
    from ..recipe.tasks import Task
    from .base import Candidate
    from .build import terms_for
    from .judge import Judge

    for what, given in (("records", records), ("names", names)):
        if given is not None and len(given) != len(texts):
            raise InputError(f"{len(texts)} texts, but {len(given)} {what}. Give one for each text, in the same order")
    output = {"type": "text", "grounding": "closed" if records is not None else "none", **output}
    task = Task.model_validate({
        "for": "item", "inputs": ["record"], "write": instruction, "language": output.pop("language", "en"),
        "outputs": {"text": {**output, "in_catalogue": catalogue is not None and not output.get("new")}},
    })  # fmt: skip
    terms = terms_for("item", task.outputs, records or [], catalogue or ())
    judge = Judge("text", task, terms=terms)
    records, names = records or [{}] * len(texts), names or [""] * len(texts)
    found = judge.judge([
        Candidate(str(i), "text", str(i), json.dumps({"text": text}), None, dict(record), name)
        for i, (text, record, name) in enumerate(zip(texts, records, names, strict=True))
    ])  # fmt: skip
    return list(found.values())

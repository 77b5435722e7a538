"""The plain few-shot prompt: what a small language model follows best.

    Say what a diner would taste.

    Name: Lemon Tart
    Ingredients: lemons, sugar, butter
    Taste: sour

    Name: Borscht
    Ingredients: beetroot, cabbage
    Taste:

Values are data: line breaks and control characters become spaces and long values are cut, so that
no record can end its own block or begin another.
"""

import json
import re
import unicodedata
from typing import Any

MOST_CHARACTERS = 3000


def label(field: str) -> str:
    return field.replace("_", " ").strip().capitalize()


def value_text(value: Any, most: int = MOST_CHARACTERS) -> str:
    """One line of text for any value: lists by commas, no control or bidi characters."""
    if value is None:
        return ""
    if isinstance(value, dict):
        value = value.get("value", value)
    if isinstance(value, (list, tuple)):
        value = ", ".join(value_text(v, most) for v in value)
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") else c for c in str(value)[: 4 * most])
    return re.sub(r"\s+", " ", text).strip()[:most]


def block(fields: dict[str, Any]) -> str:
    """`Label: value` lines; empty values are left out."""
    return "".join(f"{label(k)}: {text}\n" for k, v in fields.items() if (text := value_text(v)))


def head(instructions: str, demos: list[dict[str, Any]]) -> str:
    """The part that all records of a task share: instruction and worked examples."""
    return instructions.strip() + "\n\n" + "".join(block(demo) + "\n" for demo in demos)


def make_adapter():
    """The DSPy adapter for text outputs: the block ends in `Output: {json}`."""
    import dspy

    class PlainAdapter(dspy.JSONAdapter):
        """Few-shot prompt as one user message; the answer is JSON (DSPy parses it as usual)."""

        def _prepare_response_format(self, lm, lm_kwargs, signature):
            lm_kwargs.setdefault("response_format", {"type": "json_object"})

        def format(self, signature, demos, inputs):
            names_in, names_out = list(signature.input_fields), list(signature.output_fields)
            shown = []
            for demo in demos:
                demo = dict(demo)
                if all(demo.get(n) is not None for n in names_out):
                    answer = json.dumps({n: demo[n] for n in names_out}, ensure_ascii=False)
                    shown.append(block({n: demo.get(n) for n in names_in}) + f"Output: {answer}\n\n")
            now = block({n: inputs.get(n) for n in names_in})
            text = signature.instructions.strip() + "\n\n" + "".join(shown) + now + "Output:"
            return [{"role": "user", "content": text}]

    return PlainAdapter()

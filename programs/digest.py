"""A digest of a long text: the model picks the sentences that say most, and invents nothing.

`use: digest.KeySentences` in a recipe. It asks one yes-or-no question a sentence ("is this a main
step?") and keeps the likeliest ones in their own order, so that it works with a model too small to
rephrase. The longest input is the text, whole or as a list of steps; the first of the others names the thing.
"""

import re
from typing import Any

import dspy
from dspy.experimental import Noul

KEEP = 3  # sentences at most, and never more than half of the text

SHOTS = [
    ("Roast Chicken", "Wash your hands and set out the tin.", False),
    ("Roast Chicken", "Roast at 200°C for 60 minutes, basting twice.", True),
    ("Sourdough Loaf", "Leave it under a cloth for 12 hours until it doubles.", True),
    ("Sourdough Loaf", "Dust off any loose flour and put the lid away.", False),
    ("Bicycle Chain", "Keep a rag at hand.", False),
    ("Bicycle Chain", "Push out the pin and lift the old chain off the sprockets.", True),
]


class MainStep(dspy.Signature):
    """Tell the main steps from the small ones."""

    name: str = dspy.InputField()
    step: str = dspy.InputField()
    main: Noul = dspy.OutputField(desc="whether this is a main step")


class KeySentences(dspy.Module):
    def __init__(self, spec, writer):
        super().__init__()
        self.spec, self.writer = spec, writer
        self.output = next(iter(spec.outputs))
        self.most_words = spec.outputs[self.output].max_words
        self.judge = dspy.Predict(MainStep)
        self.judge.demos = [dspy.Example(name=n, step=s, main=m).with_inputs("name", "step") for n, s, m in SHOTS]

    async def aforward(self, sample: int = 0, **inputs: Any):
        texts = {k: v for k, v in inputs.items() if isinstance(v, str | list) and v}
        source = max(texts, key=lambda k: len("".join(map(str, texts[k]))))
        name = next((v for k, v in texts.items() if k != source and isinstance(v, str)), "")
        sentences = split_sentences(texts[source])
        lm = {"lm": self.writer.chooser} if self.writer.chooser else {}
        chances = [(await self.judge.acall(name=name, step=s, **lm)).main.probability or 0.0 for s in sentences]
        order = sorted(range(len(sentences)), key=lambda i: (-chances[i], i))
        kept, words = [], 0
        for i in order[: min(KEEP, max(len(sentences) // 2, 1))]:
            n = len(sentences[i].split())
            if kept and self.most_words and words + n > self.most_words:
                continue
            kept.append(i)
            words += n
        return dspy.Prediction(**{self.output: " ".join(sentences[i] for i in sorted(kept))})


def split_sentences(text: str | list) -> list[str]:
    """Sentences of a text, Western and Chinese full stops alike, or the steps of a list; never empty ones."""
    if isinstance(text, list):
        steps = [str(s).strip() for s in text]
        return [s if s[-1] in ".!?。!?" else f"{s}." for s in steps if s]
    return [s.strip() for s in re.split(r"(?<=[.!?。!?])\s*(?=[^\s.!?0-9])", text) if s.strip()]

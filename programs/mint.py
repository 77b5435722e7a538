"""MINT: requests in words, written from what people liked (Mysore, McCallum and Zamani, RecSys 2023).

`use: mint.NarrativeQuery` in a recipe writes one for each set of items that a user liked (`for: set`), `use:
mint.ItemQuery` one for each item (`for: item`). The recipe says which sets (`sets:`), which sentences are quoted
(`evidence:`), in which ways to write (`styles:`), how hot (`temperature:`, published .7) and gives worked examples
(`examples:`). A prompt shows `demos` of them, drawn and ordered by the record itself: a record's prompt never changes,
and over all records no example stands nearest to the answer more often than another. A further sample draws anew.
"""

from typing import Any

import dspy
from pydantic import BaseModel, ConfigDict, Field

from tokenrec.ids import unit_hash
from tokenrec.tasks.module import TaskModule


class Parameters(BaseModel):
    """What `with:` may say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    demos: int = Field(default=3, ge=0)  # worked examples in a prompt
    shuffled: bool = True  # drawn and ordered by the record; else the first ones, as they are written
    instruction: str | None = Field(default=None, min_length=1)


class NarrativeQuery(TaskModule):
    """A request that a whole set of liked items answers."""

    Parameters = Parameters
    instruction = (
        "Each list holds things that one person liked, with what was written about them. Write the request that this "
        "person could have posted for strangers to answer before knowing any of them, so that these would be good "
        "answers. Write in the first person, three to five sentences: what they are looking for, what they enjoy and "
        "avoid, and for which occasion. Name none of the things themselves."
    )

    def __init__(self, spec, writer):
        self.parameters = Parameters.model_validate(spec.task.with_)
        self.instruction = self.parameters.instruction or self.instruction
        super().__init__(spec, writer)

    def forward(self, sample: int = 0, **inputs: Any):
        return super().forward(sample=sample, demos=self.dealt(inputs, sample), **inputs)

    async def aforward(self, sample: int = 0, **inputs: Any):
        return await super().aforward(sample=sample, demos=self.dealt(inputs, sample), **inputs)

    def dealt(self, inputs: dict[str, Any], sample: int) -> list[dspy.Example]:
        """The worked examples that a record's prompt shows, in order."""
        known = self.write.demos
        if self.parameters.shuffled:
            known = [known[i] for i in sorted(range(len(known)), key=lambda i: unit_hash("demos", inputs, sample, i))]
        return known[: self.parameters.demos]


class ItemQuery(NarrativeQuery):
    """A request that one item answers."""

    instruction = (
        "Each record is something that a person was glad to find. Write the request that they could have posted for "
        "strangers to answer before they knew it, so that it would be a good answer. Write in the first person, one to "
        "three sentences: what they are looking for, with what in mind, and for which occasion. Do not name the thing."
    )

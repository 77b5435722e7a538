"""`tasks:` of a recipe: about whom, from what, how often, and how it is written."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from tokenrec.recipe.base import Model, Name
from tokenrec.recipe.outputs import Output


class History(Model):
    """Which of a user's liked items the prompt shows (only events of the history window)."""

    most: int = Field(default=20, ge=1)
    min: int = Field(default=2, ge=1)
    sample: Literal["recent", "first", "diverse", "random"] = "recent"
    share: float = Field(
        default=1.0, gt=0, le=1, description="Only this share of the user's likes, the earliest (rounded up)."
    )
    show: list[str] = Field(default=[], description="Item fields shown for each; the item's name unless said.")


class Sets(Model):
    """Sets of items that a user liked, to write one text about each. The numbers are MINT's (Mysore et al. 2023).

    A user takes part who has enough reviews, and enough but not too many that are as good as the user's own mean.
    Without data.reviews the rated events count as reviews.
    """

    min_reviews: int = Field(default=10, ge=1, description="Fewest reviews of a user.")
    min_liked: int = Field(default=10, ge=1, description="Fewest liked items of a user.")
    max_liked: int = Field(default=30, ge=1, description="Most liked items of a user.")
    liked: Literal["own_mean", "positive"] = Field(
        default="own_mean", description="Rated at or above the user's own mean, or liked as events.positive says."
    )
    items: int = Field(default=10, ge=1, description="Most items of a set.")
    per_user: int = Field(default=1, ge=1, description="Most sets of a user; they share items only where they must.")
    show: list[str] | None = Field(
        default=None, description="Item fields shown for each, or $task.output; the item's name unless said."
    )

    @model_validator(mode="after")
    def _whole(self):
        if self.min_liked > self.max_liked:
            raise ValueError("min_liked is above max_liked")
        return self


class Evidence(Model):
    """Sentences that speak of an item: of the reviews, or of its own text. One that stands for the others is taken:
    the nearest to the mean of its review's sentences."""

    of: list[str] = Field(default=[], description="Item fields to take them from; the reviews unless said.")
    sentences: int = Field(default=1, ge=1, description="Of a review, or of an item's own text.")
    min_words: int = Field(default=5, ge=1)
    max_words: int = Field(default=20, ge=1)
    total_words: int = Field(default=200, ge=1, description="Of all sentences in a prompt.")
    reviews: int = Field(default=10, ge=1, description="Most reviews that a prompt about one item quotes.")
    pick: Literal["representative", "first", "random"] = "representative"

    @model_validator(mode="after")
    def _whole(self):
        if self.min_words > self.max_words:
            raise ValueError("min_words is above max_words")
        return self


class Subjects(Model):
    """Which subjects get a text, when not all."""

    most: int = Field(ge=1)
    order: Literal["random", "popular", "cold"] = "random"


class Generate(Model):
    """Which subjects get a text when not all can be paid for, and how many: `subjects` by what a text is worth."""

    select: Literal["uplift", "cold", "random", "popular"] = Field(
        default="uplift",
        description="uplift: a pilot is written first, and the rest goes where it shows, on tune-A, that text lifts "
        "ranking; cold: those with the fewest history events; popular: with the most; random: by hash.",
    )
    budget: int | str = Field(description="A share of the subjects, such as 40%, or a number of LM calls.")

    @field_validator("budget", mode="before")
    @classmethod
    def _share_or_calls(cls, value):
        share = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value.strip()) if isinstance(value, str) else None
        if share and 0 < float(share[1]) <= 100 or type(value) is int and value > 0:
            return value
        raise ValueError(f"{value} is no budget: write a share of the subjects, such as 40%, or a number of LM calls")

    def subjects(self, able: int, calls: int) -> int:
        """How many of `able` subjects it pays for, when one may take `calls` LM calls."""
        if isinstance(self.budget, str):
            return round(float(self.budget.strip().rstrip("%")) / 100 * able)
        return min(self.budget // calls, able)


class Augment(Model):
    """A user task whose texts are invented items: never candidates, never measured, but events of a weight in the
    history of users who have few. Its outputs go by the names of item fields (ONCE's GENRE; Liu et al. 2023)."""

    under: int = Field(default=5, ge=1, description="For users with at most this many events before a window.")
    weights: list[Annotated[float, Field(ge=0, le=10)]] = Field(
        default=[0, 0.25, 0.5, 1],
        description="What an invented item may count beside a real one; tune-A chooses, 0 too, which drops it.",
    )


class Agreement(Model):
    """Further answers about the same subject, asked only to see whether they agree with the first, which is the text
    (SelfCheckGPT; Manakul et al. 2023). For open grounding. Choices that are scored by likelihood need none: the
    probability is the agreement."""

    samples: int = Field(default=3, ge=1, le=20, description="Further answers a subject; each is a call.")
    temperature: float = Field(default=0.7, gt=0, le=2, description="Of the further answers; at 0 all would be alike.")


class Task(Model):
    """One generation task."""

    for_: Literal["item", "user", "set"] = Field(alias="for", description="set: items that one user liked, see sets.")
    inputs: list[str] = Field(default=[], description="Fields of the record, or $task.output.")
    writer: str | None = Field(default=None, description="The model that writes this task; lm.writer unless said.")
    write: str | None = Field(default=None, description="The instruction, in a sentence or a few.")
    use: str | None = Field(
        default=None, description="A DSPy module instead: name.Class (built-in) or ./file.py:Class."
    )
    with_: dict[str, Any] = Field(default={}, alias="with", description="Parameters of the module that use: names.")
    outputs: dict[Name, Output] = Field(min_length=1)
    examples: list[dict[str, Any]] = Field(default=[], description="Worked examples: input and output fields by name.")
    history: History | None = None
    sets: Sets | None = None
    evidence: Evidence | None = Field(default=None, description="Sentences about items that prompts show.")
    window: Literal["history", "all"] = Field(
        default="history",
        description="Whence sets and reviews are taken. all: later windows too, for a retriever that is measured on "
        "requests from elsewhere; nothing of it may feed the ranker of these users.",
    )
    styles: list[str] = Field(
        default=[], description="Ways to write, one dealt to each subject and shown as style: texts then differ in it."
    )
    subjects: Subjects | None = None
    generate: Generate | None = Field(default=None, description="Instead of subjects: which, by what a text is worth.")
    samples: int = Field(
        default=1, ge=1, le=8, description="Best of n: another answer is asked for while the gates reject."
    )
    agreement: Agreement | None = Field(
        default=None, description="Further answers that the first is held against; all are asked, whatever gates say."
    )
    overrides: str | None = Field(
        default=None,
        description='JSONL of outputs that people wrote, {"subject": ..., "output": {...}} a line: they win over the '
        "LM's; null hides its.",
    )
    augment: Augment | None = Field(
        default=None, description="for: user: the texts are invented items that fill up short histories."
    )
    temperature: float = Field(default=0.0, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1)
    language: str = "en"

    @model_validator(mode="after")
    def _whole(self):
        if (self.write is None) == (self.use is None):
            raise ValueError("a task has either write: or use:")
        if self.for_ == "item" and not self.inputs:
            raise ValueError("an item task needs inputs: [...]")
        if self.for_ != "user" and self.history:
            raise ValueError("history: only goes with for: user")
        if self.subjects and self.generate:
            raise ValueError("either subjects, which counts them, or generate, which chooses them by their worth")
        if self.generate and self.for_ == "set":
            raise ValueError("generate: goes with for: item and for: user")
        if self.augment and self.for_ != "user":
            raise ValueError("augment: goes with for: user, whose history it fills up")
        if self.for_ != "set" and self.sets:
            raise ValueError("sets: only goes with for: set")
        if self.for_ == "user" and self.evidence:
            raise ValueError("evidence: goes with for: set and for: item")
        if self.window != "history" and self.for_ != "set" and not self.evidence:
            raise ValueError("window: goes with sets and with evidence; texts about users are made from history")
        if self.with_ and not self.use:
            raise ValueError("with: goes with use:, whose parameters it holds")
        if any(not style.strip() for style in self.styles):
            raise ValueError("one of styles is empty")
        if self.agreement and self.samples > 1:
            raise ValueError("either agreement, whose further answers judge the first, or samples, which replace it")
        if self.agreement and all(o.ground != "open" for o in self.outputs.values()):
            raise ValueError("agreement goes with an output whose grounding is open")
        return self

    @property
    def drawn(self) -> Sets:
        """How the sets of a task for sets are drawn."""
        return self.sets or Sets()

    @property
    def shown(self) -> list[str]:
        """What the prompt shows of each item that it tells of, where it is about a user or a set."""
        return (self.history.show if self.history else self.sets and self.sets.show) or []

    @property
    def further_temperature(self) -> float:
        """Of every answer after the first, so that it differs."""
        return self.agreement.temperature if self.agreement else max(self.temperature, 0.7)

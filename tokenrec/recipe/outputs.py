"""`outputs:` of a task: what one field may hold, and what its text is held to."""

import re
from typing import Literal

from pydantic import Field, model_validator

from tokenrec.recipe.base import Model


class Lexicon(Model):
    """A text that may only be put together from the record's own entries and a few joining words."""

    from_: list[str] = Field(
        alias="from", min_length=1, description="Inputs whose entries (list items, or words) may be used."
    )
    words: list[str] = Field(
        min_length=1,
        description="What may stand between two entries: with, and, ... "
        "The first one follows `begin`, the others stand between entries.",
    )
    begin: str | None = Field(default=None, description="Input that the text begins with, such as the name.")
    most: int = Field(default=3, ge=1, description="Most entries in one text, the beginning not counted.")


class Factuality(Model):
    """What an output's accepted text is promised: a share of unsupported sentences that stays under `risk`.

    The threshold on the judge's probabilities is set by `tokenrec eval --recalibrate` from human labels
    (Learn-then-Test; Angelopoulos et al. 2021).
    """

    risk: float = Field(default=0.1, gt=0, lt=1, description="Largest share of unsupported sentences among accepted.")
    confidence: float = Field(default=0.9, gt=0.5, lt=1, description="With which the promise holds.")
    on_unmet: Literal["reject", "flag"] = Field(
        default="flag",
        description="While no threshold can promise it: reject all of the output's texts, or pass them with a flag.",
    )


class Output(Model):
    """One field that a task writes."""

    type: Literal["tags", "choice", "text", "number"]
    choices: list[str] | str | None = Field(default=None, description="The closed vocabulary, or $task.output.choices.")
    max: float | None = Field(default=None, description="Most tags, or the largest number.")
    min: float | None = Field(default=None, description="Fewest tags, or the smallest number.")
    words_each: int | None = Field(
        default=None,
        ge=1,
        description="tags in words of the model's own, without choices: the most words that one tag may have, counted "
        "as max_words counts. An answer with a longer tag is malformed. The ranker gets them joined, as a text.",
    )
    or_none: bool = Field(default=False, description="tags: an empty list is a proper answer.")
    max_words: int | None = Field(default=None, ge=1)
    min_words: int = Field(default=1, ge=0)
    grounding: Literal["closed", "open", "none"] | None = Field(
        default=None,
        description="closed: every claim must follow from the inputs (default for text); "
        "open: world knowledge is wanted (default for tags); none: not judged.",
    )
    extract: bool = Field(
        default=False, description="text: whole sentences taken over from an input; shorter than it, and no copy."
    )
    lexicon: Lexicon | None = Field(
        default=None, description="text: written from the record's own entries only; small models need it."
    )
    not_in: list[str] = Field(
        default=[], description="text: must not be an entry of these inputs, such as titles that a user knows already."
    )
    in_catalogue: bool = Field(
        default=False, description="text: must be the name of an item of the catalogue, or one on each line."
    )
    new: bool = Field(
        default=False, description="text: must be the name of no item of the catalogue: an invented item's title."
    )
    against: list[str] = Field(
        default=[],
        description="text with closed grounding: claims must follow from these inputs, not from the others. A headline "
        "may then promise what the abstract has, and no more.",
    )
    judge: Literal["rules", "detector", "nli", "lm"] = Field(
        default="rules",
        description="text with closed grounding: adds the probability of an unsupported claim to every verdict that "
        "the rules pass, by a trained detector (8 ms a text), an entailment model (lm.nli) or a language model "
        "(lm.judge). By itself it rejects nothing (see factuality).",
    )
    factuality: Factuality | None = Field(
        default=None, description="text with a judge: accept by a threshold that keeps a promise, set from labels."
    )
    unsupported: Literal["reject", "drop"] = Field(
        default="reject",
        description="text with closed grounding: drop takes an unsupported sentence out and keeps the rest.",
    )
    unverifiable: Literal["keep", "drop", "reject"] = Field(
        default="keep",
        description="text with open grounding: a claim that neither the record nor further answers (the task's "
        "agreement) bear out is kept and counted, its sentence is dropped, or the text is rejected.",
    )
    or_unknown: bool = Field(
        default=False,
        description='text: "unknown" is a proper answer, and no value. A text that is contradicted or rejected as '
        "unverifiable goes the same way, alone: the item keeps its other outputs.",
    )
    describe: str = Field(default="", description="What the field means; the prompt shows it.")

    @model_validator(mode="after")
    def _fits_its_type(self):
        if self.extract and self.type != "text":
            raise ValueError(f"extract only goes with text, not {self.type}")
        if self.lexicon and self.type != "text":
            raise ValueError(f"lexicon only goes with text, not {self.type}")
        if self.not_in and self.type != "text":
            raise ValueError(f"not_in only goes with text, not {self.type}")
        if self.in_catalogue and self.type != "text":
            raise ValueError(f"in_catalogue only goes with text, not {self.type}")
        if self.new and (self.type != "text" or self.in_catalogue):
            raise ValueError("new goes with text, and not with in_catalogue, which wants the opposite")
        if self.against and (self.type != "text" or self.ground != "closed"):
            raise ValueError("against goes with text whose grounding is closed")
        if self.judge != "rules" and (self.type != "text" or self.ground != "closed"):
            raise ValueError(f"judge: {self.judge} goes with text whose grounding is closed")
        if self.factuality and self.judge == "rules":
            raise ValueError("factuality needs a judge that gives probabilities: judge: detector, nli or lm")
        if self.unsupported == "drop" and (self.type != "text" or self.ground != "closed" or self.extract):
            raise ValueError("unsupported: drop goes with text whose grounding is closed, not with extract")
        if self.unverifiable != "keep" and (self.type != "text" or self.ground != "open"):
            raise ValueError(f"unverifiable: {self.unverifiable} goes with text whose grounding is open")
        if self.or_unknown and (self.type != "text" or self.lexicon or self.extract):
            raise ValueError("or_unknown goes with text that is written freely, without lexicon and extract")
        if self.words_each and (self.type != "tags" or self.choices):
            raise ValueError("words_each is for tags without choices. remove one of them")
        if self.words_each and self.ground != "none":
            raise ValueError("grounding of words of the model's own is none, since no fact is checked. remove it")
        if self.closed and not self.choices:
            own = ", or words_each: 1 for words of the model's own" if self.type == "tags" else ""
            raise ValueError(f"a {self.type} output needs choices: [...]{own}")
        if self.type not in ("tags", "choice") and self.choices:
            raise ValueError(f"choices only go with tags and choice, not {self.type}")
        if isinstance(self.choices, str) and not re.fullmatch(r"\$[A-Za-z]\w*\.[A-Za-z]\w*\.choices", self.choices):
            raise ValueError("choices is a list, or $task.output.choices")
        if isinstance(self.choices, list):
            if len(set(c.casefold() for c in self.choices)) != len(self.choices):
                raise ValueError("choices repeat")
            if any(not c.strip() for c in self.choices):
                raise ValueError("a choice is empty")
            if len(self.choices) < 2:
                raise ValueError("choices needs at least two entries")
        if self.type == "text" and self.max_words and self.min_words > self.max_words:
            raise ValueError("min_words is above max_words")
        return self

    @property
    def closed(self) -> bool:
        """Whether it chooses from a vocabulary; tags in words of the model's own do not."""
        return self.type == "choice" or (self.type == "tags" and not self.words_each)

    @property
    def ground(self) -> str:
        return self.grounding or ("closed" if self.type == "text" else "none" if self.words_each else "open")

"""`retriever:` of a recipe: what is learnt from written requests, and how. Defaults are MINT's (Mysore et al. 2023)."""

from typing import Literal

from pydantic import Field, model_validator

from tokenrec.recipe.base import Model


class Keep(Model):
    """Which (request, item) pairs are learnt from: within each request, the share with the highest score."""

    by: Literal["all", "likelihood", "encoder", "random"] = Field(
        default="likelihood",
        description="likelihood: of the request given the item, under a GGUF's own token probabilities; encoder: the "
        "cosine of both, its cheap stand-in; random: the control; all: no filter.",
    )
    share: float = Field(default=0.5, gt=0, le=1)
    model: str = Field(default="embedded", description="likelihood: the language model, of kind embedded.")


class Training(Model):
    """What both kinds of retriever have in common."""

    learning_rate: float = Field(default=2e-5, gt=0)
    batch: int = Field(default=32, ge=2, description="Pairs a step.")
    epochs: int = Field(default=3, ge=1, description="At most; held-out requests say when to stop.")
    pairs: int | None = Field(default=None, ge=1, description="Pairs that are learnt from at most, drawn by hash.")
    skip: int = Field(default=100, ge=0, description="Nearest items that are no negatives: likely answers.")
    nearest: int = Field(default=300, ge=1, description="Items after those that negatives are drawn from.")
    negatives: int = Field(default=1, ge=0, description="Negatives a pair.")
    length: int = Field(default=128, ge=16, description="LM tokens of a text that are read.")
    layers: int | None = Field(default=None, ge=1, description="Upper layers that are trained; all unless said.")
    every: int = Field(default=500, ge=1, description="Pairs between two looks at held-out requests.")
    patience: int = Field(default=3, ge=1, description="Looks without a better one, after which it stops.")


class Rerank(Training):
    """A cross-encoder that reads a request and an item together, over the best of the first stage."""

    negatives: int = Field(default=4, ge=1, description="Negatives a pair.")
    top: int = Field(default=200, ge=1, description="Items of the first stage that it ranks anew.")


class Retriever(Training):
    from_: list[str] = Field(alias="from", min_length=1, description="Tasks whose texts are requests.")
    keep: Keep = Keep()
    loss: Literal["triplet", "in_batch"] = Field(
        default="triplet", description="in_batch: other requests' items are negatives too (InfoNCE)."
    )
    margin: float = Field(default=1.0, gt=0, description="Of the triplet loss.")
    held: float = Field(
        default=0.15, gt=0, lt=0.5,
        description="Share of the owners (users; items, for requests about one) that say when to stop, and of those "
        "that it is measured on.",
    )
    placebo: bool = Field(
        default=True,
        description="Also train on requests dealt to other owners' items, to compare; recommend uses none without it.",
    )
    rerank: Rerank | None = Field(
        default=None,
        description="A cross-encoder too; {} takes it as published. It is measured; recommend does not use it.",
    )

    @model_validator(mode="after")
    def _whole(self):
        if self.loss == "triplet" and self.negatives < 1:
            raise ValueError("a triplet has a negative: write negatives: 1, or loss: in_batch")
        return self

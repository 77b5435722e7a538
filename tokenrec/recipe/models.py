"""The recipe: the YAML file of one domain, as strict pydantic models.

Every key here is part of the public format; `tokenrec recipe schema` prints it as JSON Schema.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from tokenrec.recipe.base import Comparison, Model, Name
from tokenrec.recipe.data import Data
from tokenrec.recipe.retriever import Retriever
from tokenrec.recipe.tasks import Task

Metric = Annotated[str, StringConstraints(pattern=r"^((ndcg|recall|mrr)@[1-9][0-9]*|reward)$")]
SLICES = ("all", "cold_items", "sparse_users", "warm")


class Objective(Model):
    metric: Metric = Field(
        default="ndcg@10", description="ndcg@K, recall@K or mrr@K. Beside reward: it is reward unless said."
    )
    slice: Literal["all", "cold_items", "sparse_users", "warm"] = "all"
    margin: float | None = Field(
        default=None, gt=0, description="Lift that would not matter; 1% of raw_text unless said."
    )


class Models(Model):
    """Which model does what: a name from tokenrec.yaml, provider/model, or the path of a GGUF."""

    writer: str = "embedded"
    reflector: str = "embedded"
    encoder: str = Field(default="minilm", description="Text to vectors; a GGUF gives its own hidden states.")
    judge: str | None = Field(default=None, description="The LM of `judge: lm`; the reflector unless said.")
    nli: str | None = Field(
        default=None, description="The model of `judge: nli`: kind nli in tokenrec.yaml, a folder, or a hub's name."
    )


class AdaptorModel(Model):
    """KAR's hybrid-expert adaptor; defaults of dedicated, shared, hidden and out are the published ones."""

    dedicated: int = Field(default=5, ge=0, description="Experts of either side, user and item.")
    shared: int = Field(default=2, ge=1, description="Experts that both sides have.")
    hidden: int = Field(default=128, ge=1)
    out: int = Field(default=32, ge=1, description="Coordinates of the short vectors.")
    learning_rate: float = Field(default=1e-3, gt=0)
    decay: float = Field(default=1e-4, ge=0, description="Weight decay.")
    dropout: float = Field(default=0.1, ge=0, lt=1)
    negatives: int = Field(default=20, ge=1, description="A list and epoch, drawn anew.")
    lists: int = Field(default=64, ge=1, description="Lists a batch.")
    epochs: int = Field(default=20, ge=1, description="At most; what is held out says when to stop.")
    patience: int = Field(default=3, ge=1, description="Epochs without a better loss on what is held out.")
    held: float = Field(default=0.2, gt=0, lt=1, description="Share of the lists, and of the items, held out.")
    folds: int = Field(
        default=3, ge=2, description="Of users and of items: a pair is scored by one that has seen neither."
    )
    columns: Literal["pair", "products", "vectors"] = Field(
        default="pair", description="The score and a cosine; with the vectors' products; with both vectors too."
    )


class Ranker(Model):
    k: int = Field(default=10, ge=1)
    candidates: list[Literal["popular", "item_knn", "text"]] = ["popular", "item_knn", "text"]
    seeds: int = Field(default=3, ge=1, le=20)
    negatives: int = Field(
        default=100, ge=1, description="Negatives a list when fitting; every candidate is scored when measuring."
    )
    adaptor: AdaptorModel | None = Field(
        default=None, description="Columns learnt from every text by KAR's adaptor; {} takes it as published."
    )


class Budget(Model):
    calls: int | None = Field(default=None, ge=1)
    lm_tokens: int | None = Field(default=None, ge=1)
    usd: float | None = Field(default=None, gt=0)
    minutes: float | None = Field(default=None, gt=0)


OPTIMIZERS = ("none", "instructions", "reanchor", "bootstrap_random", "mipro", "gepa")


class Compile(Model):
    """The search for better prompts. Every limit of `budget` is for one task's search, its reflector included."""

    optimizer: str = Field(
        default="bootstrap_random",
        description="none, reanchor, bootstrap_random, mipro, gepa, any DSPy teleprompter as module.path:Class; "
        "instructions, where some are given.",
    )
    instructions: list[str] | dict[Name, list[str]] = Field(
        default=[], description="Instructions that are raced against the task's own; by task, where several have some."
    )
    options: dict[str, Any] = Field(default={}, description="Further arguments of a teleprompter's constructor.")
    tasks: list[str] = Field(
        default=[], description="Tasks whose prompts are searched; item tasks with closed vocabularies unless said."
    )
    budget: Budget = Budget(calls=300)
    candidates: int = Field(default=3, ge=1, description="Programs that the search proposes a task.")
    finalists: int = Field(default=1, ge=1, le=3)

    @model_validator(mode="before")
    @classmethod
    def _raced(cls, value):
        if isinstance(value, dict) and value.get("instructions") and "optimizer" not in value:
            return {**value, "optimizer": "instructions"}
        return value

    @field_validator("optimizer")
    @classmethod
    def _known(cls, value):
        if value not in OPTIMIZERS and not re.fullmatch(r"[\w.]+:[A-Za-z_]\w*", value):
            raise ValueError(f"there is no optimizer {value}. There are {', '.join(OPTIMIZERS)}, and module.path:Class")
        return value

    @model_validator(mode="after")
    def _whole(self):
        texts = self.instructions.values() if isinstance(self.instructions, dict) else [self.instructions]
        if any(not text.strip() for many in texts for text in many):
            raise ValueError("an instruction is empty")
        if self.instructions and self.optimizer not in ("instructions", "none"):
            raise ValueError(f"instructions are raced by themselves, not with {self.optimizer}: leave optimizer out")
        if self.optimizer == "instructions" and not self.instructions:
            raise ValueError("optimizer: instructions races those of compile.instructions, and there are none")
        if self.options and ":" not in self.optimizer:
            raise ValueError("options go with a teleprompter by import path only")
        return self

    def written(self, task: str) -> list[str]:
        """The instructions to race for a task."""
        return self.instructions.get(task, []) if isinstance(self.instructions, dict) else self.instructions

    def programs(self, task: str) -> int:
        """How many programs the search of a task is to score."""
        return len(self.written(task)) if self.optimizer == "instructions" else self.candidates


class Eval(Model):
    labels: str | None = Field(default=None, description="JSONL of outputs that people have read and labelled.")
    fail_if: dict[str, Comparison] = {}

    @field_validator("fail_if")
    @classmethod
    def _known(cls, value):
        known = {f"{r}_rate{w}" for r in ("noise", "hallucination", "malformed") for w in ("", "_before")}
        for key in value:
            if key not in known:
                raise ValueError(f"fail_if knows {', '.join(sorted(known))}; not {key}")
        return value


class Privacy(Model):
    send: list[str] | None = Field(default=None, description="The only fields that may go to an LM.")
    pseudonymise: list[str] = []


class Recommend(Model):
    """What `tokenrec recommend` needs to know of the items."""

    contains: list[str] = Field(
        default=[], description='Item fields that say what is in an item: "no pork" is held against these alone.'
    )
    diet: str | None = Field(default=None, description="Item field that names a diet: vegan, vegetarian.")
    words: list[str] = Field(default=[], description="Dictionaries (YAML): a language's words in the catalogue's own.")
    line: str | None = Field(
        default=None, pattern=r"^[A-Za-z_]\w*\.[A-Za-z_]\w*$", description="task.output that is printed under an item."
    )
    write: bool = Field(
        default=False, description="Have the LM write that line anew for each request, gated; --no-write leaves it."
    )

    @model_validator(mode="after")
    def _whole(self):
        if self.write and not self.line:
            raise ValueError("write: true needs line: task.output, the text to be written for each request")
        return self


class Recipe(Model):
    name: Name
    about: str = ""
    data: Data
    objective: Objective = Objective()
    reward: str | None = Field(
        default=None,
        description="Your own ranker or metric in place of ours: ./file.py:function, relative to the folder of "
        "tokenrec.yaml. It gives a score a list, or with objective: {metric: ndcg@10} a score a candidate.",
    )
    lm: Models = Models()
    tasks: dict[Name, Task] = {}
    ranker: Ranker = Ranker()
    retriever: Retriever | None = Field(default=None, description="A retriever that learns from written requests.")
    recommend: Recommend = Recommend()
    compile: Compile = Compile()
    eval: Eval = Eval()
    privacy: Privacy = Privacy()
    budget: Budget = Field(default=Budget(), description="Limits on one run, search included.")

    def writer_of(self, task: str | None = None) -> str:
        """The name of the model that writes a task's texts; the recipe's, without one."""
        return task and self.tasks[task].writer or self.lm.writer

    @model_validator(mode="before")
    @classmethod
    def _own_metric(cls, value):
        objective = value.get("objective", {}) if isinstance(value, dict) and value.get("reward") else None
        if isinstance(objective, dict) and "metric" not in objective:
            return {**value, "objective": {**objective, "metric": "reward"}}
        return value

"""The recipe: the YAML file of one domain, as strict pydantic models.

Every key here is part of the public format; `tokenrec recipe schema` prints it as JSON Schema.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Metric = Annotated[str, StringConstraints(pattern=r"^((ndcg|recall|mrr)@[1-9][0-9]*|reward)$")]
Comparison = Annotated[str, StringConstraints(pattern=r"^\s*(>=|<=|==|!=|>|<)\s*-?[0-9.]+\s*$")]
SLICES = ("all", "cold_items", "sparse_users", "warm")


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ItemsFile(Model):
    """Items: CSV, JSONL or Parquet (also .gz), one record an item."""

    path: str
    id: str
    text: list[str] = Field(min_length=1, description="Fields that say what the item is; the raw_text arm embeds them.")
    facts: list[str] = Field(default=[], description="Further fields that may be shown and checked against.")
    name: str | None = Field(
        default=None, description="Field that people call the item by; the first text field unless said."
    )
    where: str | None = Field(default=None, description="Keep only records in which this field is not empty.")


class UsersFile(Model):
    """Users, optional: facts about them beyond their events."""

    path: str
    id: str
    facts: list[str] = []


class EventsFile(Model):
    """Interactions, one a row."""

    path: str
    user: str
    item: str
    time: str | None = Field(default=None, description="Dates, timestamps or any increasing order.")
    value: str | None = Field(default=None, description="Rating, count, ...")
    positive: Comparison | None = Field(
        default=None, description='Which values are likes, e.g. ">= 4"; every event unless said.'
    )
    none_value: float | None = Field(
        default=None, description="A value that means none was given (Food.com: 0); such rows are no likes."
    )
    test: str | None = Field(default=None, description="With split given: the published test file.")


class ImpressionsFile(Model):
    """What was shown to whom, and where, a row a shown item. Likes then count by how many look at their position, and
    the ranker's negatives are what was shown and not taken."""

    path: str
    user: str
    item: str
    position: str = Field(description="Place on the page or in the list; 1 is the top.")
    time: str | None = Field(default=None, description="As in events, in the same unit; needed where events have one.")
    clicked: str | None = Field(
        default=None, description="0 or 1: the shown item was taken; likes of the same user and item unless said."
    )
    examined: Literal["estimate"] | Annotated[float, Field(ge=0)] = Field(
        default="estimate",
        description="How many look at a position: estimated from items that were shown at several, or a power p of "
        "it, 1/position^p.",
    )
    most: float = Field(default=10, ge=1, description="The largest weight of a like, relative to the top position's.")


class ReviewsFile(Model):
    """What users wrote about items, one review a row; may be the events' own file."""

    path: str
    user: str
    item: str
    text: str
    time: str | None = Field(default=None, description="When it was written; dates or numbers as events have them.")
    value: str | None = Field(default=None, description="The rating that came with it; events.none_value is none.")


class QueriesFile(Model):
    """Requests in words with the items that answer them: a row for each pair, or one with a list of items."""

    path: str
    text: str
    relevant: str = Field(description="An item's id, a list of ids, or ids with grades.")
    grade: str | None = Field(default=None, description="How well it answers: 1 unless said, 0 not at all.")
    id: str | None = Field(default=None, description="The request's id; a hash of its text unless said.")


class LabelsFile(Model):
    """Known truth about items, for the oracle arm and the grading of tags only; never for features."""

    path: str
    id: str
    fields: list[str]


class Split(Model):
    """Five windows (CONTRACT): shares of the events in time order; tune is halved by user."""

    by: Literal["time", "given", "user", "item_holdout"] = "time"
    history: float = Field(default=0.5, gt=0, lt=1)
    fit: float = Field(default=0.2, gt=0, lt=1)
    tune: float = Field(default=0.15, gt=0, lt=1)
    test: float = Field(default=0.15, gt=0, lt=1)
    seed: int = 7

    @model_validator(mode="after")
    def _sums_to_one(self):
        if abs(self.history + self.fit + self.tune + self.test - 1) > 1e-6:
            raise ValueError("history + fit + tune + test must be 1")
        return self


def _mind_or_tables(schema: dict) -> None:
    """MIND's files say what items and events are."""
    schema.pop("required", None)
    schema["anyOf"] = [{"required": ["items", "events"]}, {"required": ["format", "path"]}]


class Data(Model):
    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_mind_or_tables)

    format: Literal["tables", "mind"] = Field(
        default="tables", description="mind: MIND's TSV files, whose impressions are the ranking lists."
    )
    path: str | None = Field(default=None, description="With format mind: the folder of news.tsv and behaviors.tsv.")
    test: str | None = Field(default=None, description="With format mind: the folder of the published test files.")
    items: ItemsFile
    events: EventsFile
    users: UsersFile | None = None
    reviews: ReviewsFile | None = Field(default=None, description="For the evidence of tasks; never for the ranker.")
    queries: QueriesFile | None = Field(default=None, description="For measuring only: tokenrec eval ranks for them.")
    labels: LabelsFile | None = None
    impressions: ImpressionsFile | None = None
    split: Split = Split()
    simulated: bool = Field(default=False, description="Say SIMULATED wherever these users are shown.")
    most_users: int | None = Field(
        default=None, ge=2, description="Keep this many users, chosen by hash: for a quick look."
    )

    @model_validator(mode="before")
    @classmethod
    def _of_mind(cls, value):
        if not isinstance(value, dict) or value.get("format") != "mind":
            return value
        folder, test = value.get("path"), value.get("test")
        if not isinstance(folder, str):
            raise ValueError("format: mind needs path:, the folder of news.tsv and behaviors.tsv")
        own = {k: value.get(k) or {} for k in ("items", "events", "split")}
        if any(not isinstance(part, dict) for part in own.values()):
            return value
        items = {"path": f"{folder}/news.tsv", "id": "news_id", "name": "title", "text": ["title", "abstract"]}
        items["facts"] = ["category", "subcategory"]
        events = {"path": f"{folder}/behaviors.tsv", "user": "user_id", "item": "impressions", "time": "time"}
        if isinstance(test, str):
            events["test"], own["split"] = f"{test}/behaviors.tsv", {"by": "given", **own["split"]}
        return {**value, "items": {**items, **own["items"]}, "events": {**events, **own["events"]},
                "split": own["split"]}  # fmt: skip

    @model_validator(mode="after")
    def _one_format(self):
        if self.format == "tables" and (self.path or self.test):
            raise ValueError("path and test go with format: mind; tables are named under items and events")
        if self.format == "mind" and self.split.by not in ("time", "given"):
            raise ValueError(f"format: mind has times: write split: {{by: time}}, not {self.split.by}")
        if self.format == "mind" and (self.impressions or self.users or self.reviews):
            raise ValueError("format: mind has its impressions in behaviors.tsv, and no users or reviews. remove them")
        return self


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
        closed = self.type in ("tags", "choice")
        if closed and not self.choices:
            raise ValueError(f"a {self.type} output needs choices: [...]")
        if not closed and self.choices:
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
    def ground(self) -> str:
        return self.grounding or ("closed" if self.type == "text" else "open")


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
    recommend: Recommend = Recommend()
    compile: Compile = Compile()
    eval: Eval = Eval()
    privacy: Privacy = Privacy()
    budget: Budget = Field(default=Budget(), description="Limits on one run, search included.")

    @model_validator(mode="before")
    @classmethod
    def _own_metric(cls, value):
        objective = value.get("objective", {}) if isinstance(value, dict) and value.get("reward") else None
        if isinstance(objective, dict) and "metric" not in objective:
            return {**value, "objective": {**objective, "metric": "reward"}}
        return value

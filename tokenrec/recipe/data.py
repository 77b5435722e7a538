"""`data:` of a recipe: files, columns and windows."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from tokenrec.recipe.base import Comparison, Model


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

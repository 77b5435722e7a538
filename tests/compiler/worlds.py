"""A small project whose diners choose by taste, and a model that answers well or badly by its instruction."""

import random
from pathlib import Path

import numpy as np

from tests.end_to_end.worlds import dishes, project, write
from tokenrec.compiler.session import Session, open_session
from tokenrec.compiler.writing import Written, write_task
from tokenrec.features.types import Vectors
from tokenrec.ids import unit_hash
from tokenrec.lm.plain import make_adapter
from tokenrec.lm.writer import Writer
from tokenrec.recipe.load import load_recipe
from tokenrec.report.progress import Stages

TASTES = ["sweet", "spicy", "sour", "savory", "rich", "fresh"]
RECIPE = """\
name: tasty
data:
  items: {path: data/dishes.jsonl, id: dish_id, name: name, text: [name], facts: [cuisine]}
  events: {path: data/events.csv, user: user_id, item: dish_id, time: at, value: rating, positive: ">= 4"}
  simulated: true
lm: {writer: WRITER}
tasks:
  flavour:
    for: item
    inputs: [name]
    write: Guess.
    outputs: {taste: {type: choice, choices: [sweet, spicy, sour, savory, rich, fresh]}}
    examples: [{name: Zabaione, taste: sweet}, {name: Gazpacho, taste: fresh}]
ranker: {seeds: 1, negatives: 20}
compile: {tasks: [flavour], candidates: 3, budget: {calls: 240}}
"""


MOODS = ["rainy", "sunny", "windy", "snowy", "foggy", "stormy"]  # a mood is a taste; only who knows can tell which
ABOUT_USERS = RECIPE.replace(
    "  simulated: true", "  users: {path: data/users.csv, id: user_id, facts: [mood]}\n  simulated: true"
).replace(
    "write: Guess.", "write: Answer well."
).replace("ranker:", """\
  palate:
    for: user
    inputs: [mood]
    history: {most: 4, min: 1, show: [name]}
    write: Guess.
    outputs: {likes: {type: choice, choices: $flavour.taste.choices}}
    examples: [{liked: [Zabaione], mood: rainy, likes: sweet}, {liked: [Gazpacho], mood: stormy, likes: fresh}]
ranker:""").replace("tasks: [flavour]", "tasks: [palate]")


def truth(name: str) -> int:
    return int(unit_hash("truth", name) * len(TASTES))


class Taster:
    """Answers DSPy's decisions: the truth where `knows(state)`, else a guess with a share of `luck`."""

    supports_decision_requests = True
    model = "taster"

    def __init__(self, knows=lambda state: "well" in state["instructions"], luck: float = 0.6):
        self.knows, self.luck, self.calls = knows, luck, 0

    def __call__(self, state, questions):
        import dspy

        self.calls += 1
        asked = state["inputs"]
        name = asked["name"] if "name" in asked else " ".join([asked["mood"], *asked["liked"]])
        sure = self.knows(state) or unit_hash("lucky", name) < self.luck
        right = truth(name) if "name" in asked else MOODS.index(asked["mood"])
        likely = right if sure else int(unit_hash("guess", name) * len(TASTES))
        chances = {c: 0.75 if i == likely else 0.05 for i, c in enumerate(TASTES)}
        if tracker := dspy.settings.usage_tracker:
            tracker.add_usage(self.model, {"prompt_tokens": 10, "completion_tokens": 1})
        answer = {"choice": TASTES[likely], "confidence": 0.75, "probabilities": chances}
        return {field: answer for field in questions}

    async def acall(self, state, questions):
        return self(state, questions)

    def copy(self, **_):
        return self

    def dump_state(self):
        return {"model": self.model}


def diners(items: list[dict], users: int, each: int = 10, seed: int = 3) -> list[tuple]:
    """Each diner has one taste and, eight times in ten, eats what has it."""
    draw = random.Random(seed)
    by_taste = {t: [i for i in items if truth(i["name"]) == t] for t in range(len(TASTES))}
    rows = []
    for u in range(users):
        mine = by_taste[draw.randrange(len(TASTES))] or items
        for _ in range(each):
            dish = draw.choice(mine if draw.random() < 0.8 else items)
            rows.append((draw.random() * 300, f"u{u:03}", dish["dish_id"], 5))
    return [(u, d, round(t, 3), v) for t, u, d, v in sorted(rows)]


def session(
    root: Path, users: int = 120, n_dishes: int = 90, each: int = 10, recipe: str = RECIPE, taster: Taster | None = None,
    eat=None,
) -> Session:
    """An open session with lists; raw texts say nothing, so that no encoder is needed."""
    items = menu(n_dishes)
    events = (eat or diners)(items, users, each)
    moods = "".join(f"u{u:03},{MOODS[mood(u)]}\n" for u in range(users))
    write(root / "data/users.csv", "user_id,mood\n" + moods)
    loaded = load_recipe(project(root, items=items, events=events, recorded=[], recipe=recipe))
    made = open_session(loaded, "run-1")
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(len(made.dataset.item_ids), 4)).astype(np.float32)
    made.raw = Vectors("raw_text", "text", "item", noise, [f"e{i}" for i in range(4)], False, "noise")
    made.writers[made.recipe.lm.writer] = Writer(
        "taster", "taster/1", None, make_adapter(), chooser=taster or Taster(), at_once=1, free=True,
        meter=made.meter,
    )  # fmt: skip
    made.make_lists()
    return made


def written(made: Session) -> dict[str, Written]:
    return {"flavour": write_task(made, "flavour", lambda report: None)}


QUIET = Stages(None)


def menu(n: int) -> list[dict]:
    """`n` dishes; beyond the kitchen's 300 they come again under other names."""
    known = dishes(min(n, 300))
    again = [
        {**d, "dish_id": f"{d['dish_id']}-{k}", "name": f"{d['name']} {'ABCDE'[k]}"}
        for k in range((n - 1) // 300) for d in known
    ]  # fmt: skip
    return (known + again)[:n]


def arrivals(items: list[dict], users: int, each: int = 12, seed: int = 3) -> list[tuple]:
    """A menu that changes: a dish comes on each day and is eaten for a month, nine times in ten by those who have its
    taste. What is on the menu now has no history, so that its text is all that tells who will like it."""
    draw = random.Random(seed)
    rows = []
    for u in range(users):
        taste = draw.randrange(len(TASTES))
        for _ in range(each):
            day = draw.uniform(10, len(items))
            menu = items[max(0, int(day) - 30) : int(day)]
            mine = [i for i in menu if truth(i["name"]) == taste]
            rows.append((day, f"u{u:03}", draw.choice(mine if mine and draw.random() < 0.9 else menu)["dish_id"], 5))
    return [(u, d, round(t, 3), v) for t, u, d, v in sorted(rows)]


def mood(user: int) -> int:
    return int(unit_hash("mood", user) * len(MOODS))


def turned(items: list[dict], users: int, each: int = 12, seed: int = 3) -> list[tuple]:
    """Diners who eat anything until day 150, and then, nine times in ten, what their mood likes: their past says
    nothing of their tastes, and what the users file knows of them does."""
    draw = random.Random(seed)
    by_taste = {t: [i for i in items if truth(i["name"]) == t] for t in range(len(TASTES))}
    rows = []
    for u in range(users):
        for _ in range(each):
            day = draw.uniform(0, 300)
            mine = by_taste[mood(u)] if day > 150 and draw.random() < 0.9 else items
            rows.append((day, f"u{u:03}", draw.choice(mine)["dish_id"], 5))
    return [(u, d, round(t, 3), v) for t, u, d, v in sorted(rows)]

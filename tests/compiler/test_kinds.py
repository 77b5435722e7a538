"""Searches of other tasks than an item's tags: about users, of texts, and of DSPy modules."""

import json
import re

import numpy as np
import pytest

from tests.compiler.test_optimizers import needs_optuna, offline, run, strong, tasted  # noqa: F401
from tests.compiler.worlds import (
    ABOUT_USERS,
    MOODS,
    QUIET,
    RECIPE,
    TASTES,
    Taster,
    arrivals,
    mood,
    session,
    truth,
    turned,
)
from tests.compiler.worlds import diners as meals
from tests.end_to_end.server import hash_of, serving
from tests.end_to_end.worlds import dishes, project, write
from tokenrec.compiler.improve import improve, why_not_searched
from tokenrec.compiler.reward import LiteScore, completion_reward
from tokenrec.compiler.search import search
from tokenrec.compiler.session import open_session
from tokenrec.compiler.writing import item_vectors, prepare_task, write_task
from tokenrec.dataset.types import TUNE_A, TUNE_B
from tokenrec.features.types import Vectors
from tokenrec.ids import unit_hash
from tokenrec.ranking.metrics import members
from tokenrec.recipe.load import load_recipe
from tokenrec.recipe.models import Budget, Compile
from tokenrec.tasks.program import program_state


def instruction(program) -> str:
    return next(iter(program_state(program).values()))["signature"]["instructions"]


def noise(made) -> Vectors:
    matrix = np.random.default_rng(0).normal(size=(len(made.dataset.item_ids), 4)).astype(np.float32)
    return Vectors("raw_text", "text", "item", matrix, [f"e{i}" for i in range(4)], False, "noise")


@pytest.fixture(scope="module")
def diners(tmp_path_factory):
    """A race of instructions of a task about users, whose past says nothing: their mood does."""
    made = session(tmp_path_factory.mktemp("users"), 600, 300, 12, ABOUT_USERS, Taster(luck=0.2), turned)
    tasks = {n: write_task(made, n, lambda report: None) for n in ("flavour", "palate")}
    options = Compile(tasks=["palate"], instructions=["Answer well.", "Guess again."], budget=Budget(calls=300))
    return made, tasks, improve(made, tasks, "palate", QUIET, force=True, options=options)


def test_a_better_prompt_about_users_is_found_and_promoted(diners):
    made, tasks, found = diners
    assert found.scores[0] > found.incumbent_score + 0.2 and abs(found.scores[1] - found.incumbent_score) < 0.1
    assert found.lite_challenger > found.lite_incumbent + 0.03
    assert found.promotion.promoted and instruction(tasks["palate"].program) == "Answer well.", found.note
    lock = made.db.execute("select program_id from current where task = 'palate'").fetchone()[0]
    assert lock == tasks["palate"].program_id == found.promotion.challenger


def test_no_user_of_tune_b_had_a_part_in_choosing_it(diners):
    made, tasks, _ = diners
    e = made.dataset.events
    theirs = {made.dataset.user_ids[u] for u in e.user[e.window == TUNE_B]}
    other = [r[0] for r in made.db.execute(
        "select distinct s.subject from subjects s join programs p using (program_id) where p.task = 'palate'"
        " and json_extract(p.state, '$.choose.signature.instructions') = 'Guess again.'"
    )]  # fmt: skip
    assert len(other) >= 20 and not theirs & set(other)


def test_a_users_text_is_scored_by_what_it_meets(diners):
    """Choices against items' choices, a text against the items' own; what meets nothing has no part."""
    made, tasks, _ = diners
    met = item_vectors(made, tasks)
    assert [v.space for v in met] == ["choices:" + "|".join(TASTES), "noise"]
    n = len(made.dataset.user_ids)
    right = np.eye(6)[[mood(u) for u in range(n)]]
    likes = tasks["palate"].vectors[0]
    text = Vectors("palate", "text", "user", np.ones((n, 4)), [], False, "noise")
    number = Vectors("palate", "age", "user", np.ones((n, 1)), [], True, "number:palate.age")
    one = completion_reward(made.dataset, [number, likes], met)
    both = completion_reward(made.dataset, [likes, number, text], met)
    assert one.outputs == ("likes",) and both.outputs == ("likes", "text") and both.reference.shape == (n, 10)
    users = one.subjects()
    assert np.mean([one.score(u, right[u], right.mean(axis=0)) for u in users]) > 0.8
    assert np.mean([one.score(u, right[u - 1], right.mean(axis=0)) for u in users]) == pytest.approx(0.5, abs=0.05)
    flat = np.r_[right.mean(axis=0), np.ones(4)]  # a text that is everybody's says nothing
    assert both.score(users[0], np.r_[right[users[0]], np.ones(4)], flat) == one.score(users[0], right[users[0]], flat[:6])
    assert completion_reward(made.dataset, [number], met) is None


def test_a_task_that_meets_no_item_is_not_searched(tmp_path):
    recipe = ABOUT_USERS.replace("$flavour.taste.choices", "[early, late]").replace("likes: sweet", "likes: early")
    made = session(tmp_path, 40, 60, 10, recipe.replace("likes: fresh", "likes: late"))
    tasks = {n: write_task(made, n, lambda report: None) for n in ("flavour",)}
    tasks["palate"] = prepare_task(made, "palate")
    assert "reaches the ranker" in why_not_searched(made, tasks, "palate", force=True)
    assert why_not_searched(made, tasks, "flavour", force=True) == ""


def diner(text: str) -> str:
    """The strong model of test_optimizers, asked about diners as well."""
    if "[[ ## mood ## ]]" not in text or "instruction" in text:
        return strong(text)
    said = re.findall(r"\[\[ ## mood ## \]\]\n(.*)", text)[-1].strip()
    sure = " well " in text or unit_hash("lucky", text.rsplit("[[ ## mood", 1)[1]) < 0.2
    likely = MOODS.index(said) if sure else hash_of(text) % 6
    return json.dumps({"likes": TASTES[likely]})


def served(root, url, recipe, items, events, more=""):
    recipe = recipe.replace("lm: {writer: WRITER}", "lm: {writer: WRITER, reflector: WRITER}")
    models = f"{{kind: api, model: openai/small, api_base: '{url}', price: {{input: 2, output: 8}}}}"
    path = project(root, items=items, events=events, recorded=[], recipe=recipe, writer="served", models=models)
    made = open_session(load_recipe(path), "run-1")
    made.raw = noise(made)
    made.make_lists()
    return made


def test_gepa_is_told_of_a_users_own_list_and_finds_a_better_instruction(tmp_path):
    items = dishes(90)
    users = "".join(f"u{u:03},{MOODS[mood(u)]}\n" for u in range(200))
    write(tmp_path / "data/users.csv", "user_id,mood\n" + users)
    recipe = ABOUT_USERS.replace("write: Answer well.", "write: Say well what it is.")
    with serving(diner) as at:
        made = served(tmp_path, at.url, recipe, items, turned(items, 200))
        tasks = {n: write_task(made, n, lambda report: None) for n in ("flavour", "palate")}
        task, options = tasks["palate"], Compile(optimizer="gepa", candidates=2, budget=Budget(calls=160))
        meter = made.meter.child(options.budget)
        found = search(
            made, task.spec, task.program, task.prompts, task.vectors, task.judge, meter, lambda *_: None, options,
            "s-1", item_vectors(made, tasks),
        )  # fmt: skip
        told = [t for t in at.texts() if "Feedback" in t]
    assert found.proposals[0].score > found.incumbent + 0.1, found.note
    assert " well " in instruction(found.proposals[0].program) and meter.used.calls <= 160
    assert told and all("picks tags about users" in t for t in told)
    assert all("of the items later:" in t and "place " in t and "<data>" in t for t in told)
    assert any("above it stands <data>" in t for t in told)
    assert any("Words of what this user liked later that it lacks: <data>" in t for t in told)
    assert not any(re.search(r"\bu\d{3}\b", t) for t in told)  # no user goes by an id


SAID = RECIPE.replace(
    "outputs: {taste: {type: choice, choices: [sweet, spicy, sour, savory, rich, fresh]}}",
    "outputs: {taste: {type: text, max_words: 12, grounding: none}}",
).replace("taste: sweet}", "taste: It is sweet.}").replace("taste: fresh}", "taste: It is fresh.}")  # fmt: skip


class Letters:
    """Stands in for the encoder: a text is the tastes that it names, and a little of its length."""

    encoder_id = "letters@1"

    def encode(self, db, texts, progress=None):
        return np.array([[*(float(t in x) for t in TASTES), len(x) / 1000] for x in texts], np.float32).reshape(-1, 7)


def in_words(text: str) -> str:
    said = strong(text)
    if '"taste"' not in said:
        return said
    name = re.findall(r"\[\[ ## name ## \]\]\n(.*)", text)[-1].strip()
    things = next(d["ingredients"] for d in dishes(90) if d["name"] == name)
    return json.dumps({"taste": f"{', '.join(things[:4])}: {json.loads(said)['taste']}."})


@pytest.mark.parametrize("optimizer", ["instructions", "bootstrap_random", "gepa"])
def test_a_task_that_writes_texts_is_searched(tmp_path, optimizer):
    items = dishes(90)
    with serving(in_words) as at:
        made = served(tmp_path, at.url, SAID, items, meals(items, 120))
        made.encoder = Letters()
        more = {"instructions": ["Say it well now.", "Guess again."]} if optimizer == "instructions" else {}
        task, meter, found, _ = run(made, optimizer=optimizer, **more)
    assert len(found.proposals) >= 2 and found.finished and "failed" not in found.note, found.note
    assert meter.used.calls <= 240 and found.incumbent < 0.7
    if optimizer != "bootstrap_random":
        assert found.proposals[0].score > found.incumbent + 0.05
        assert " well " in f"{instruction(found.proposals[0].program)} "
    else:  # its demonstrations are whole answers
        assert any(len(program_state(p.program)["write"]["demos"]) > 2 for p in found.proposals)


MODULE = """
import dspy

class Ask(dspy.Signature):
    \"\"\"Guess.\"\"\"
    dish: str = dspy.InputField()
    course: str = dspy.OutputField()

class Taste(dspy.Module):
    def __init__(self, spec, writer):
        super().__init__()
        self.ask = dspy.Predict(Ask)

    async def aforward(self, sample=0, **inputs):
        said = await self.ask.acall(dish=inputs["name"].upper())
        return dspy.Prediction(taste=said.course.lower())

class Whole(Taste):
    def __init__(self, spec, writer):
        super().__init__(spec, writer)
        self.ask = dspy.Predict(dspy.Signature("name -> taste", "Guess."))

    async def aforward(self, sample=0, **inputs):
        return dspy.Prediction(taste=(await self.ask.acall(name=inputs["name"])).taste)

class Two(Taste):
    def __init__(self, spec, writer):
        super().__init__(spec, writer)
        self.more = dspy.Predict(Ask)

class Rule(dspy.Module):
    def __init__(self, spec, writer):
        super().__init__()

    async def aforward(self, sample=0, **inputs):
        return dspy.Prediction(taste="sweet")
"""


def by_module(text: str) -> str:
    """Answers the module's own question, about names in capitals."""
    if "[[ ## dish ## ]]" not in text or "instruction" in text:
        return strong(text)
    name = re.findall(r"\[\[ ## dish ## \]\]\n(.*)", text)[-1].strip()
    name = next(d["name"] for d in dishes(90) if d["name"].upper() == name)
    return json.dumps({"course": json.loads(tasted(text.rsplit("[[ ## dish", 1)[0] + f"[[ ## name ## ]]\n{name}\n"))["taste"]})


def module_session(root, url, kind):
    write(root / "mine.py", MODULE)
    recipe = RECIPE.replace("write: Guess.", f"use: ./mine.py:{kind}").replace("examples:", "# examples:")
    items = dishes(90)
    return served(root, url, recipe, items, meals(items, 120))


@pytest.mark.parametrize("optimizer", ["instructions", "gepa", pytest.param("mipro", marks=needs_optuna)])
def test_a_modules_instruction_is_searched(tmp_path, optimizer):
    """Its question is not the task's, so that no whole answer is shown to it as a demonstration."""
    more = {"instructions": ["Judge well which taste.", "Guess again."]} if optimizer == "instructions" else {}
    with serving(by_module) as at:
        made = module_session(tmp_path, at.url, "Taste")
        task, meter, found, _ = run(made, optimizer=optimizer, **more)
        assert len(at.requests) == 90 + meter.used.calls
    best = found.proposals[0]
    assert best.score > found.incumbent + 0.05 and " well " in instruction(best.program), found.note
    assert meter.used.calls <= 240 and all(not program_state(p.program)["ask"]["demos"] for p in found.proposals)
    assert type(best.program).__name__ == "Taste" and best.program.source_hash == task.program.source_hash


def test_a_module_that_is_asked_what_the_task_is_gets_demonstrations(tmp_path):
    with serving(strong) as at:
        made = module_session(tmp_path, at.url, "Whole")
        task, meter, found, _ = run(made, optimizer="bootstrap_random")
    assert any(program_state(p.program)["ask"]["demos"] for p in found.proposals), found.note


def test_why_a_module_can_not_be_searched_is_said(tmp_path):
    def why(kind, optimizer):
        made = module_session(tmp_path / kind, "http://127.0.0.1:9", kind)
        texts = {"instructions": ["Other."]} if optimizer == "instructions" else {"optimizer": optimizer}
        return why_not_searched(made, {"flavour": prepare_task(made, "flavour")}, "flavour", True, Compile(**texts))

    assert "no DSPy predictor" in why("Rule", "gepa")
    assert "other questions" in why("Taste", "bootstrap_random")
    assert "2 predictors" in why("Two", "instructions")
    assert "write: tasks" in why("Taste", "reanchor")
    assert why("Two", "gepa") == why("Whole", "bootstrap_random") == why("Taste", "mipro") == ""


MANY = ABOUT_USERS.replace("  palate:", """\
  savour:
    for: item
    inputs: [name]
    write: Guess.
    outputs: {taste: {type: choice, choices: [sweet, spicy, sour, savory, rich, fresh]}}
    examples: [{name: Zabaione, taste: sweet}, {name: Gazpacho, taste: fresh}]
  palate:""").replace("write: Answer well.", "write: Guess.")  # fmt: skip


def test_three_tasks_in_turn_and_the_one_that_says_it_again_gets_no_credit(tmp_path):
    """Tastes are all that tells who eats what: whoever writes them first is promoted, and the second adds nothing. The
    text about users then meets the promoted tags."""
    made = session(tmp_path, 700, 600, 12, MANY, Taster(luck=0.3), arrivals)
    tasks = {n: write_task(made, n, lambda report: None) for n in ("flavour", "savour", "palate")}
    before = tasks["flavour"].vectors
    options = Compile(
        instructions={"flavour": ["Answer well."], "savour": ["Say it well."], "palate": ["Guess twice."]},
        budget=Budget(calls=200),
    )
    found = {n: improve(made, tasks, n, QUIET, force=True, options=options) for n in tasks}
    assert found["flavour"].promotion and found["flavour"].promotion.promoted, found["flavour"].note
    assert found["savour"].scores[0] > found["savour"].incumbent_score + 0.05  # by itself it looks as good
    assert not (found["savour"].promotion and found["savour"].promotion.promoted), found["savour"].note
    alone = LiteScore(made)  # with nobody else in the margin the same text would have been worth a lot
    gain = alone(tasks["flavour"].vectors) - alone(tasks["savour"].vectors)
    assert found["savour"].lite_challenger < 0.01 < 0.02 < min(gain, found["flavour"].lite_challenger)
    assert not (found["palate"].promotion and found["palate"].promotion.promoted), found["palate"].note
    assert found["palate"].incumbent_score is not None
    now = [v for v in item_vectors(made, tasks) if v.source == "flavour"]
    assert now[0] is tasks["flavour"].vectors[0] is not before[0]
    right = [int(r.argmax()) == truth(i["name"]) for r, i in zip(now[0].matrix, made.dataset.items, strict=True)]
    assert np.mean(right) > 0.95


def test_a_cold_objective_is_searched_where_nothing_is_new(tmp_path):
    """Every dish is eaten all the time. Those that pose as cold show whose text tells of a new one."""
    recipe = RECIPE + "objective: {metric: ndcg@10, slice: cold_items}\n"
    made = session(tmp_path, 500, 120, 10, recipe)
    known = session(tmp_path / "all", 500, 120, 10)
    assert members(known.lists[TUNE_A], "cold_items") < 20 < 50 < members(made.lists[TUNE_A], "cold_items")
    assert "pose as cold" in " ".join(made.dataset.notes)
    options = Compile(instructions=["Answer well.", "Guess again."], budget=Budget(calls=160))
    tasks = {"flavour": write_task(made, "flavour", lambda report: None)}
    found = improve(made, tasks, "flavour", QUIET, force=True, options=options)
    assert found.scores[0] > found.incumbent_score and found.lite_challenger > found.lite_incumbent, found
    assert found.promotion.promoted and found.promotion.delta > 0.05

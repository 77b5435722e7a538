"""Every optimiser on completion scores: what it finds, that its budget holds, and that a weak reflector is no harm."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.compiler.worlds import RECIPE, TASTES, Taster, diners, dishes, session, truth
from tests.end_to_end.server import hash_of, serving
from tests.end_to_end.worlds import project
from tokenrec.compiler.optimizers import options_of
from tokenrec.compiler.search import search
from tokenrec.compiler.session import open_session
from tokenrec.compiler.writing import write_task
from tokenrec.errors import InputError
from tokenrec.features.types import Vectors
from tokenrec.ids import unit_hash
from tokenrec.recipe.load import load_recipe
from tokenrec.recipe.models import Budget, Compile
from tokenrec.tasks.program import program_state

COPRO = "dspy.teleprompt:COPRO"
needs_optuna = pytest.mark.skipif(not importlib.util.find_spec("optuna"), reason="optuna is not installed")


def strong(text: str) -> str:
    """As tests.end_to_end.test_optimizers.writes, in the forms that other proposers ask for as well."""
    if "proposed_instruction" in text:
        said = f"Think well of what the dish tastes like. ({hash_of(text) % 9})"
        return json.dumps({"proposed_instruction": said, "proposed_prefix_for_output_field": "Taste:"})
    if "new_instruction" in text:
        return json.dumps({"new_instruction": f"Judge well which taste the dish has. ({hash_of(text) % 9})"})
    if "observations" in text or "summary" in text:
        return json.dumps({"observations": "Dishes by name.", "summary": "Dishes by name."})
    return tasted(text)


def weak(text: str) -> str:
    """It answers about dishes, and has nothing to say for itself."""
    return tasted(text) if "[[ ## name ## ]]" in text and "instruction" not in text else "I am a helpful assistant."


def tasted(text: str) -> str:
    name = re.findall(r"\[\[ ## name ## \]\]\n(.*)", text)[-1].strip()
    sure = " well " in text or unit_hash("lucky", name) < 0.5
    return json.dumps({"taste": TASTES[truth(name) if sure else int(unit_hash("guess", name) * len(TASTES))]})


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")


def served_session(root: Path, url: str):
    """A session on a served writer, which is its own reflector."""
    items = dishes(90)
    recipe = RECIPE.replace("lm: {writer: WRITER}", "lm: {writer: WRITER, reflector: WRITER}")
    models = f"{{kind: api, model: openai/small, api_base: '{url}', price: {{input: 2, output: 8}}}}"
    path = project(root, items=items, events=diners(items, 120), recorded=[], recipe=recipe, writer="served", models=models)
    made = open_session(load_recipe(path), "run-1")
    noise = np.random.default_rng(0).normal(size=(len(made.dataset.item_ids), 4)).astype(np.float32)
    made.raw = Vectors("raw_text", "text", "item", noise, [f"e{i}" for i in range(4)], False, "noise")
    made.make_lists()
    return made


def run(made, **options):
    task = write_task(made, "flavour", lambda report: None)
    options = Compile(**{"budget": Budget(calls=240), "candidates": 2, **options})
    shown, meter = [], made.meter.child(options.budget)
    found = search(
        made, task.spec, task.program, task.prompts, task.vectors, task.judge, meter, lambda *a: shown.append(a),
        options, "s-1",
    )  # fmt: skip
    return task, meter, found, shown


def purposes(made) -> dict[str, int]:
    return dict(made.db.execute("select purpose, sum(calls) from spend group by 1").fetchall())


@pytest.mark.parametrize("optimizer", [
    "gepa", pytest.param("mipro", marks=needs_optuna), COPRO,
])  # fmt: skip
def test_a_strong_reflector_finds_better_instructions_within_the_budget(tmp_path, optimizer):
    more = {"options": {"breadth": 2, "depth": 1}} if optimizer == COPRO else {}
    with serving(strong) as served:
        made = served_session(tmp_path, served.url)
        task, meter, found, shown = run(made, optimizer=optimizer, **more)
        assert len(served.requests) == 90 + meter.used.calls
    assert found.proposals[0].score > found.incumbent + 0.05, found.note
    assert " well " in program_state(found.proposals[0].program)["write"]["signature"]["instructions"]
    used = purposes(made)
    assert used["search"] + used["reflect"] == meter.used.calls <= 240 and used["reflect"] > 0
    assert re.search(r"best \.?0\.\d+, now 0\.\d+, \d candidates, \d+ calls, [\d,]+ LM tokens, \$", shown[-1][2])


@pytest.mark.parametrize("optimizer", ["gepa", "bootstrap_random", pytest.param("mipro", marks=needs_optuna)])
@pytest.mark.parametrize("limit", [{"calls": 100}, {"lm_tokens": 6000}, {"usd": 0.016}, {"minutes": 0.01}])
def test_a_limit_of_any_kind_holds_with_the_best_so_far(tmp_path, optimizer, limit):
    """Students and reflector alike: an answer has 110 LM tokens, costs .00028 and takes 40 ms."""
    with serving(strong, delay=0.04) as served:
        made = served_session(tmp_path, served.url)
        task, meter, found, shown = run(made, optimizer=optimizer, candidates=3, budget=Budget(**limit))
    [(name, most)] = limit.items()
    calls, used = meter.used.calls, meter.used
    assert calls == len(served.requests) - 90
    if name == "calls":  # programs are cut to the budget, and only GEPA, which asks for more, meets its end
        assert 60 <= calls <= most
    else:
        assert found.spent and f"budget reached: {name}" in found.note and calls < 3 * found.examples, found.note
    spent = {"lm_tokens": used.prompt_tokens + used.completion_tokens, "usd": used.usd}.get(name)
    if spent is not None:  # what was in flight at the limit is paid for
        assert most <= spent + 1e-9 <= most * (1 + made.loaded.project.project.concurrency / 50)
    assert f"{calls:,} calls, {used.prompt_tokens + used.completion_tokens:,} LM tokens, ${used.usd:.4f}" in shown[-1][2]
    assert f"{len(found.proposals)} candidates" in shown[-1][2] and f"now {found.incumbent:.3f}" in shown[-1][2]
    if found.proposals:
        assert f"best {found.proposals[0].score:.3f}" in shown[-1][2]


def leaky(text: str) -> str:
    """It keeps to the form, and fills in what it was shown as data."""
    for field in ("new_instruction", "proposed_instruction"):
        if field in text:
            return json.dumps({field: "Zaru Soba: spicy, chewy, savory, sticky</Data>", "proposed_prefix": "x"})
    return weak(text)


@pytest.mark.parametrize("model", [weak, leaky])
@pytest.mark.parametrize("optimizer", ["gepa", pytest.param("mipro", marks=needs_optuna)])
def test_a_reflector_that_keeps_to_no_form_costs_its_proposals_and_nothing_else(tmp_path, optimizer, model):
    with serving(model) as served:
        made = served_session(tmp_path, served.url)
        task, meter, found, _ = run(made, optimizer=optimizer)
    assert found.finished and "proposals could not be used" in found.note, found.note
    for p in found.proposals:  # mipro still mixes demonstrations
        assert program_state(p.program)["write"]["signature"]["instructions"] == "Guess."


def test_a_cut_off_gepa_asks_writer_and_reflector_nothing_twice_and_ends_alike(tmp_path):
    with serving(strong) as served:
        whole = served_session(tmp_path / "whole", served.url)
        _, used, wanted, _ = run(whole, optimizer="gepa")
        once = [json.dumps(b["messages"]) for b in served.requests]
    with serving(strong) as served:
        cut = served_session(tmp_path / "cut", served.url)
        cut.meter.budget = Budget(calls=90 + 45)  # the run's own limit cuts it off in the middle
        _, _, part, _ = run(cut, optimizer="gepa")
        assert part.spent
        cut.meter.budget = Budget()
        _, again, found, _ = run(cut, optimizer="gepa")
        twice = [json.dumps(b["messages"]) for b in served.requests]
    assert sorted(twice) == sorted(once)
    assert [p.score for p in found.proposals] == [p.score for p in wanted.proposals]
    assert again.used.calls == used.used.calls  # what the first run paid counts in the search's budget


def test_written_instructions_are_raced_on_the_same_items(tmp_path):
    made = session(tmp_path, taster=Taster(luck=0.5))
    task, meter, found, _ = run(made, instructions=["Answer well, please.", "Guess again."])
    assert [program_state(p.program)["choose"]["signature"]["instructions"] for p in found.proposals] == [
        "Answer well, please.", "Guess again.",
    ]  # fmt: skip
    assert found.proposals[0].score > found.incumbent and meter.used.calls == 2 * found.examples
    demos = program_state(task.program)["choose"]["demos"]
    assert all(program_state(p.program)["choose"]["demos"] == demos for p in found.proposals)


def test_reanchor_reads_the_stored_likelihoods_anew_and_asks_nobody(tmp_path):
    class Shy(Taster):
        """It knows, and never dares to say sweet: a constant that only the metric can tell from knowledge."""

        def __call__(self, state, questions):
            made = super().__call__(state, questions)
            for answer in made.values():
                answer["probabilities"] = {**answer["probabilities"], "sweet": answer["probabilities"]["sweet"] / 40}
            return made

    taster = Shy(knows=lambda state: True)
    made = session(tmp_path, taster=taster)
    asked = taster.calls
    task, meter, found, _ = run(made, optimizer="reanchor")
    assert taster.calls - asked == 90 and meter.used.calls == 0  # the 90 are the task's own writing
    assert found.incumbent > 0.6 and len(found.proposals) <= 1
    for p in found.proposals:
        assert p.weights and program_state(p.program)["choose"]["fields"] != program_state(task.program)["choose"]["fields"]
    task.program.choose.fields = {"taste": {"weights": {t: (0.001 if t == "spicy" else 1.0) for t in TASTES}}}
    options = Compile(optimizer="reanchor")
    found = search(made, task.spec, task.program, task.prompts, task.vectors, task.judge, made.meter.child(options.budget),
                   lambda *_: None, options, "s-2")  # fmt: skip
    assert found.proposals and found.proposals[0].score > found.incumbent  # a bad reading is mended
    assert taster.calls - asked == 90


def test_reanchor_needs_likelihoods(tmp_path):
    with serving(strong) as served:
        made = served_session(tmp_path, served.url)
        with pytest.raises(InputError, match="no probabilities|has none"):
            run(made, optimizer="reanchor")


@pytest.mark.parametrize(("name", "why"), [
    ("gepetto", "There are none"), ("dspy.teleprompt:Nobody", "can't be loaded"), ("nowhere:Class", "can't be loaded"),
    ("json:JSONDecoder", "no DSPy teleprompter"), ("instructions", "there are none"),
])  # fmt: skip
def test_an_optimizer_that_is_none_is_named(tmp_path, name, why):
    made = session(tmp_path, users=40)
    with pytest.raises(InputError, match=why):
        options_of(made.recipe, name)

"""What a bad model can do: broken JSON, errors, silence. A scripted DSPy engine stands in for it."""

import json

import pytest

from tests.end_to_end.server import sensible, text_of
from tests.end_to_end.worlds import dishes, meals, project, sound, store
from tokenrec.compiler.record import start_run
from tokenrec.compiler.session import open_session
from tokenrec.compiler.writing import write_task
from tokenrec.errors import BudgetStop, ServiceError
from tokenrec.lm.writer import Writer
from tokenrec.recipe.load import load_recipe
from tokenrec.recipe.models import Budget


class Scripted:
    """A DSPy engine whose `answer(prompt, times this prompt was asked)` is a text or an exception."""

    supports_response_schema = False
    supported_params = ("temperature", "max_tokens", "seed")

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def complete(self, request):
        from dspy.lm15 import Message, Response, TextPart, Usage

        prompt = text_of({"messages": [{"content": m.text or ""} for m in request.messages]})
        prompt = f"{request.system or ''}\n{prompt}"
        self.asked.append(prompt)
        said = self.answer(prompt, self.asked.count(prompt))
        if isinstance(said, Exception):
            raise said
        return Response(
            id=None, model="scripted", message=Message.assistant([TextPart(said)]), finish_reason="stop",
            usage=Usage(input_tokens=7, output_tokens=3, total_tokens=10),
        )  # fmt: skip

    def close(self):
        pass


class AsyncScripted(Scripted):
    def __init__(self, engine):
        self.engine = engine

    async def complete(self, request):
        return self.engine.complete(request)

    async def aclose(self):
        pass


@pytest.fixture
def asking(tmp_path):
    """A function: (answer, budget) → (engine, report or exception, session) of writing `flavour` once."""
    recipe = project(tmp_path, items=dishes(12), events=meals(dishes(12), users=40, each=6), recorded=[])

    def go(answer, budget: Budget | None = None, run: str = "run"):
        import dspy

        engine = Scripted(answer)
        session = open_session(load_recipe(recipe), run, budget)
        lm = dspy.LM("scripted", engine=engine, async_engine=AsyncScripted(engine), cache=False)
        scripted = Writer("scripted", "scripted/1", lm, dspy.JSONAdapter(), free=True, meter=session.meter)
        session.writers[session.recipe.lm.writer] = scripted
        start_run(session)
        try:
            result = write_task(session, "flavour", lambda report: None).report
        except (BudgetStop, ServiceError) as error:
            result = error
        session.db.conn.close()
        assert sound(store(tmp_path))
        return engine, result, session

    return go


def rows(root, sql):
    return [tuple(r) for r in store(root).execute(sql)]


def about(prompt: str, dish: dict) -> bool:
    return json.dumps(dish["ingredients"], ensure_ascii=False) in prompt


def test_a_malformed_answer_gets_one_repair(asking, tmp_path):
    bad = dishes(12)[3]

    def answer(prompt, times):
        return "Sure! It tastes" if about(prompt, bad) and times == 1 else sensible(prompt)

    engine, report, session = asking(answer)
    assert (report.accepted, report.malformed, report.failed) == (12, 0, 0)
    repaired = rows(tmp_path, "select first_raw, raw, calls from completions where first_raw is not null")
    assert len(repaired) == 1 and repaired[0][0] == "Sure! It tastes" and json.loads(repaired[0][1])["taste"]
    assert sum(r[0] for r in rows(tmp_path, "select calls from completions")) == len(engine.asked)
    assert session.meter.used.calls == len(engine.asked)


def test_an_answer_that_stays_malformed_is_stored_as_such_and_not_asked_again(asking, tmp_path):
    bad = dishes(12)[3]
    engine, report, session = asking(lambda p, n: '{"taste": "purple"}' if about(p, bad) else sensible(p))
    assert (report.accepted, report.malformed, report.failed) == (11, 1, 0)
    assert 2 <= sum(about(p, bad) for p in engine.asked) <= 4  # the answer and its repair, DSPy's own fallback each
    assert session.meter.used.calls == len(engine.asked)
    assert rows(tmp_path, "select state, count(*) from completions group by 1") == [("accepted", 11), ("malformed", 1)]
    assert rows(tmp_path, "select count(*) from tokens") == [(11,)]
    engine, report, _ = asking(lambda p, n: sensible(p), run="again")
    assert not engine.asked and report.malformed == 1


def test_errors_are_failures_never_answers_and_are_asked_again(asking, tmp_path):
    down = dishes(12)[2:5]

    def answer(prompt, times):
        return RuntimeError("scripted fault") if any(about(prompt, d) for d in down) else sensible(prompt)

    _, report, _ = asking(answer)
    assert (report.accepted, report.failed) == (9, 3)
    failures = rows(tmp_path, "select subject, error from failures")
    assert {f[0] for f in failures} == {d["dish_id"] for d in down}
    assert all("scripted fault" in f[1] for f in failures)
    assert rows(tmp_path, "select count(*) from completions") == [(9,)]
    engine, report, _ = asking(lambda p, n: sensible(p), run="again")
    assert len(engine.asked) == 3 and (report.accepted, report.failed) == (12, 0)


def test_a_model_that_is_gone_stops_the_run(asking, tmp_path):
    engine, error, _ = asking(lambda p, n: RuntimeError("connection refused"))
    assert isinstance(error, ServiceError) and error.exit_code == 4
    assert "8 times in a row" in str(error) and "connection refused" in str(error)
    assert rows(tmp_path, "select count(*) from completions") == [(0,)]
    _, report, _ = asking(lambda p, n: sensible(p), run="again")
    assert report.accepted == 12


def test_a_budget_of_calls_is_kept_whatever_is_in_flight(asking, tmp_path):
    engine, error, session = asking(lambda p, n: sensible(p), Budget(calls=5))
    assert isinstance(error, BudgetStop) and error.exit_code == 3
    assert len(engine.asked) == 5 == session.meter.used.calls
    assert rows(tmp_path, "select count(*) from completions where state = 'accepted'") == [(5,)]
    engine, report, _ = asking(lambda p, n: sensible(p), run="again")
    assert len(engine.asked) == 7 and report.accepted == 12
    assert rows(tmp_path, "select purpose, sum(calls) from spend group by 1") == [("generate", 12)]


def test_a_text_in_place_of_an_object_a_list_and_nothing_at_all(asking):
    said = iter(["[]", "null", "", "{}", '{"taste": []}', '{"taste": ["sweet"], "extra": "x"}', '{"taste": null}'] * 20)
    _, report, _ = asking(lambda p, n: next(said))
    assert report.failed + report.malformed + report.rejected + report.accepted == 12
    assert report.accepted < 12

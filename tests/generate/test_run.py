"""Nothing is asked twice, failures are not answers, and a run that stopped goes on."""

import json

import pytest

from tests.generate.scripted import BAD, CUT, World, good
from tokenrec.errors import BudgetStop, ServiceError
from tokenrec.generate.judging import judge_all
from tokenrec.lm.meter import Meter
from tokenrec.recipe.models import Budget
from tokenrec.store import completions as store


def test_an_unchanged_run_asks_nothing():
    world = World()
    first = world.run()
    assert (first.asked, first.accepted, first.usage.calls) == (6, 6, 6)
    assert first.usage.prompt_tokens == 60 and sorted(world.script.asked) == list(range(6))
    again = world.run()
    assert (again.asked, again.accepted, again.usage.calls, world.script.asked) == (0, 6, 0, [])
    assert len(store.tokens(world.db, "plants", "line")) == 6
    assert [(r["purpose"], r["calls"]) for r in world.db["spend"].rows] == [("generate", 6)]


def test_subjects_with_equal_inputs_share_a_call():
    world = World(n=4)
    world.data.items[3]["name"] = "Plant 0"
    report = world.run()
    assert sorted(world.script.asked) == [0, 1, 2] and report.asked == 3 and report.subjects == 4
    tokens = store.tokens(world.db, "plants", "line")  # and they are no near-duplicates of each other
    assert report.accepted == 4 and tokens["p0"] == tokens["p3"]


def test_a_changed_item_is_asked_again_alone():
    world = World()
    world.run()
    world.data.items[2]["name"] = "Plant 22"
    report = world.run()
    assert world.script.asked == [22] and report.accepted == 6
    assert json.loads(good(22)) == store.tokens(world.db, "plants", "line")["p2"]


def test_another_instruction_asks_everything_again_and_the_old_one_nothing():
    world = World()
    world.run()
    world.task = {"write": "Say another line."}
    assert world.run().asked == 6
    world.task = {}
    assert world.run().asked == 0 and world.db["completions"].count == 12


@pytest.mark.parametrize("change", [{"temperature": 0.5}, {"max_tokens": 7}])
def test_decode_parameters_belong_to_an_answer(change):
    world = World(n=2)
    world.run()
    world.task = change
    assert world.run().asked == 2


def test_best_of_n_stops_at_the_first_answer_that_passes():
    world = World(lambda plant, k: good(plant) if k >= plant else BAD, n=4, samples=3)
    report = world.run()
    assert [world.script.asked.count(i) for i in range(4)] == [1, 2, 3, 3]
    assert (report.accepted, report.rejected, report.asked) == (3, 1, 9)
    assert world.run().asked == 0  # three are the most, also in the next run
    assert sorted({r["sample"] for r in world.db["tokens"].rows}) == [0, 1, 2]


def test_more_samples_go_on_where_the_last_run_ended():
    world = World(lambda plant, k: BAD, n=2, samples=1)
    world.run()
    world.task = {"samples": 3}
    assert world.run().asked == 4
    assert sorted(r["sample"] for r in world.db["completions"].rows) == [0, 0, 1, 1, 2, 2]


def test_a_malformed_answer_gets_one_repair():
    answers = {0: ["oops", good(0)], 1: ["oops", "oops again", good(1)], 2: ['{"line": 3}', good(2)]}
    world = World(lambda plant, k: answers[plant][k], n=3)
    report = world.run()
    assert [world.script.asked.count(i) for i in range(3)] == [2, 2, 2]
    rows = {json.loads(r["inputs"])["name"]: r for r in world.db["completions"].rows}
    assert rows["Plant 0"]["first_raw"] == "oops" and rows["Plant 0"]["state"] == "accepted"
    assert rows["Plant 1"]["state"] == "malformed" and rows["Plant 1"]["raw"] == "oops again"
    assert rows["Plant 0"]["calls"] == 2 and rows["Plant 0"]["prompt_tokens"] == 20
    assert (report.malformed, report.accepted, report.asked, report.usage.calls) == (1, 2, 3, 6)
    assert world.run().asked == 0


def test_failures_are_no_answers_and_are_asked_again():
    broken = {1, 3}

    def answer(plant, k):
        if plant in broken:
            raise RuntimeError("503: over capacity")
        return good(plant)

    world = World(answer)
    report = world.run()
    assert (report.failed, report.accepted, world.db["completions"].count) == (2, 4, 4)
    assert {(r["subject"], "503" in r["error"]) for r in world.db["failures"].rows} == {("p1", True), ("p3", True)}
    broken.clear()
    again = world.run()
    assert set(world.script.asked) == {1, 3} and (again.failed, again.accepted) == (0, 6)


def test_a_service_that_is_gone_ends_the_run_and_keeps_what_was_finished():
    def answer(plant, k):
        if plant >= 5:
            raise ConnectionError("refused")
        return good(plant)

    world = World(answer, n=40)
    world.concurrency = 1
    with pytest.raises(ServiceError, match="8 times in a row.*refused"):
        world.run()
    assert world.db["completions"].count == 5 and world.db["failures"].count == 8
    assert len(store.tokens(world.db, "plants", "line")) == 5


def test_a_budget_stops_and_the_next_run_goes_on(tmp_path):
    world = World(n=8, path=tmp_path / "s.db")
    world.concurrency = 1
    with pytest.raises(BudgetStop):
        world.run(Meter(Budget(calls=3)))
    assert world.db["completions"].count == 3 and len(store.tokens(world.db, "plants", "line")) == 3
    assert [r["calls"] for r in world.db["spend"].rows] == [3]
    done = list(world.script.asked)
    report = world.run()
    assert report.asked == 5 and not set(done) & set(world.script.asked) and report.accepted == 8


def test_retries_and_repairs_count_on_the_meter():
    meter = Meter()
    world = World(lambda plant, k: good(plant) if k else "oops", n=3)
    world.run(meter)
    assert meter.used.calls == 6 and meter.used.completion_tokens == 30 and meter.used.usd == 0


def test_a_repair_that_the_budget_forbids_is_paid_for_and_asked_again():
    world = World(lambda plant, k: "oops", n=1)
    world.concurrency = 1
    with pytest.raises(BudgetStop):
        world.run(Meter(Budget(calls=1)))
    assert world.db["completions"].count == 0 and [r["calls"] for r in world.db["spend"].rows] == [1]
    assert world.run().asked == 1


def test_a_change_of_gates_judges_anew_without_a_call(monkeypatch):
    world = World(lambda plant, k: BAD if plant == 0 else good(plant))
    first = world.run()
    assert first.rejected == 1 and "noise/refusal" in first.reject_reasons
    monkeypatch.setattr("tokenrec.gates.judge.GATES_VERSION", "test")
    again = world.run()
    assert again.asked == 0 and again.gate_id != first.gate_id and again.accepted == first.accepted
    assert {r["gate_id"] for r in world.db["completions"].rows} == {again.gate_id}
    assert len(store.tokens(world.db, "plants", "line")) == 5


def test_a_challenger_is_written_beside_the_tokens_in_use():
    world = World()
    world.run()
    before = store.tokens(world.db, "plants", "line")
    world.task = {"write": "A challenger's instruction."}
    world.run(make_current=False)
    assert store.tokens(world.db, "plants", "line") == before


def test_an_interrupt_keeps_what_was_finished():
    def answer(plant, k):
        if plant == 3:
            raise KeyboardInterrupt
        return good(plant)

    world = World(answer, n=6)
    world.concurrency = 1
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert world.db["completions"].count == 3 and len(store.tokens(world.db, "plants", "line")) == 3


def test_scored_tags_beside_a_text_leave_it_its_further_samples():
    """A text is best of n also where a tag of the same task was scored."""
    from tests.tasks.test_program import Chooser
    from tests.tasks.worlds import flavour, line, writer
    from tokenrec.tasks import program as programs

    outputs = line()["outputs"] | flavour()["outputs"]
    world = World(lambda plant, k: good(plant) if k else BAD, n=2, samples=3, outputs=outputs)
    parts = world.parts

    def with_chooser(meter=None):
        spec, _, at, judge = parts(meter)
        scored = writer(chooser=Chooser())
        scored.lm = at.lm
        return spec, programs.make_program(spec, scored), scored, judge

    world.parts = with_chooser
    report = world.run()
    assert world.script.asked.count(0) == world.script.asked.count(1) == 2 and report.accepted == 2
    assert world.run().asked == 0


def test_a_text_that_ends_at_the_limit_is_cut_off_and_another_is_asked_for():
    world = World(lambda plant, k: CUT if k == 0 else good(plant), n=3, samples=2)
    report = world.run()
    assert (report.accepted, report.asked) == (3, 6) and report.reject_reasons["noise/cut_off"] == 3
    ends = {(r["sample"], r["finish_reason"], r["state"]) for r in world.db["completions"].rows}
    assert ends == {(0, "length", "rejected"), (1, "stop", "accepted")}
    assert world.run().asked == 0  # what the gates were told is stored


def test_a_larger_batch_starts_from_what_was_found_on_single_texts():
    world = World()
    world.run()
    first = [(r["completion_id"], r["findings"]) for r in world.db["completions"].rows]
    assert all(json.loads(found) for _, found in first)
    spec, program, at, judge = world.parts()
    pid, lm_id, gate_id = [world.db.execute(f"select {c} from current").fetchone()[0] for c in
                           ("program_id", "lm_id", "gate_id")]  # fmt: skip
    world.db.execute("delete from subjects where subject = 'p5'")
    judge.check_rules = None  # not asked again
    assert judge_all(world.db, "plants", spec, {}, judge, pid, lm_id) != gate_id
    world.db.execute("update completions set checked = 'another judge'")
    world.db.execute("delete from subjects where subject = 'p4'")
    with pytest.raises(TypeError):
        judge_all(world.db, "plants", spec, {}, judge, pid, lm_id)


def test_a_check_is_not_used_for_another_name():
    """Gates look at the subject's name, which no key holds: with another name the text is checked anew."""
    world = World()
    world.run()
    spec, program, at, judge = world.parts()
    pid, lm_id = world.db.execute("select program_id, lm_id from current").fetchone()
    said = json.loads(good(0))["line"]
    world.db.execute("update subjects set name = ? where subject = 'p0'", [said])
    world.db.execute("delete from subjects where subject = 'p5'")  # the batch is another one
    judge_all(world.db, "plants", spec, {}, judge, pid, lm_id)
    failed = world.db.execute("select s.subject, v.gate from verdicts v join completions c using (completion_id)"
                              " join subjects s using (input_hash) where not v.passed").fetchall()  # fmt: skip
    assert failed == [("p0", "noise/tells_nothing")]


def test_answers_that_come_while_others_are_judged_wait_for_the_next_time():
    world = World(lambda plant, k: good(plant) if plant < 4 else good(4))  # p4 and p5 say the same
    world.run()
    spec, program, at, judge = world.parts()
    pid, lm_id = world.db.execute("select program_id, lm_id from current").fetchone()
    late = world.db.execute("select * from completions where inputs like '%Plant 0%'").fetchone()
    world.db.execute("delete from verdicts where completion_id = ?", [late[0]])
    world.db.execute("delete from completions where completion_id = ?", [late[0]])
    look = judge.look_at

    def slow(batch):
        world.db.execute(f"insert into completions values ({','.join('?' * len(late))})", late)
        world.db.execute("update completions set state = null, gate_id = null where completion_id = ?", [late[0]])
        return look(batch)

    judge.look_at = slow
    judge_all(world.db, "plants", spec, {}, judge, pid, lm_id)
    states = dict(world.db.execute("select s.subject, c.state from completions c join subjects s using (input_hash)"))
    assert states == {"p0": None, "p1": "accepted", "p2": "accepted", "p3": "accepted", "p4": "rejected", "p5": "rejected"}

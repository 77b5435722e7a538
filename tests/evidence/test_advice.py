"""Advice recommends nothing that hurts and says nothing that no interval proves."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ranking.worlds import dataset, make_lists, taste_world
from tokenrec.dataset.types import FIT, TEST
from tokenrec.evidence.advice import TEXT, TOKENS, Price, Step, advise, steps
from tokenrec.evidence.arms import ArmScores
from tokenrec.evidence.statistics import compare
from tokenrec.evidence.verdicts import Row
from tokenrec.ranking.metrics import SLICES, relevant_ranks

HALF = st.floats(0.0005, 0.02)


@st.composite
def step(draw, pair, slice):
    lift, half = draw(st.floats(-0.03, 0.03)), draw(HALF)
    placebo = draw(st.floats(-0.02, 0.02)) if pair == TOKENS else float("nan")
    return Step(*pair, slice, draw(st.integers(2, 5000)), lift, lift - half, lift + half, placebo, draw(st.booleans()))


@st.composite
def row(draw, task):
    lift, half = draw(st.floats(-0.03, 0.03)), draw(HALF)
    low, high = lift - half, lift + half
    over = draw(st.floats(-0.02, 0.02))
    word = "helps" if low > 0 and over > 0 else "hurts" if high < 0 else draw(
        st.sampled_from(["no_effect", "too_little_data"]))  # fmt: skip
    return Row(task, "all", 900, lift, low, high, 0.5, *[float("nan")] * 3, over, over, over, word)


@st.composite
def evidence(draw):
    found = [draw(step(pair, s)) for pair in (TEXT, TOKENS) for s in draw(st.permutations(SLICES))]
    board = sorted((draw(row(t)) for t in ("flavour", "digest")), key=lambda r: -r.lift)
    prices = [Price(t, 300, draw(st.integers(0, 900)), draw(st.none() | st.floats(0, 9))) for t in ("flavour", "digest")]
    return found, board, prices


@given(evidence(), st.sampled_from(SLICES))
def test_what_is_recommended_is_proved_and_nothing_that_hurts(given_, slice):
    found, board, prices = given_
    what, price = advise(found, board, prices, "ndcg@10", slice, 0.004)
    tokens = {s.slice: s for s in found if (s.arm, s.over) == TOKENS}
    text = {s.slice: s for s in found if (s.arm, s.over) == TEXT}
    helps = [r.task for r in board if r.verdict == "helps"]
    if what.startswith("Write tokens"):
        assert not any(r.verdict == "hurts" for r in board)
        meant = [s for s in tokens.values() if s.gains]
        assert meant and all(s.low > 0 and s.low_over_placebo > 0 and s.enough for s in meant)
    elif what.startswith("Write "):
        assert helps and not tokens[slice].loses
        named = re.match(r"Write (.*?)(?:, each by itself)?, beside", what)[1].split(" and ")
        assert named == helps
    elif what.startswith("Embed"):
        assert any(s.gains for s in text.values())
        assert "only" in what or (text[slice].gains and not text[slice].loses)
    elif what.startswith("Leave text out"):
        assert text[slice].loses or tokens[slice].loses or any(r.verdict == "hurts" for r in board)
    else:
        assert what.startswith("Too little data to tell") and "0.0040" in what
        assert not any(s.gains for s in [*text.values(), tokens[slice]]) and not helps
    if not what.startswith("Write"):
        assert "is proved" in price and not re.search(r"\(\+\S+ to", price)
    for s in tokens.values():  # whoever loses by it is told so wherever tokens are recommended
        if what.startswith("Write") and s.loses:
            assert "loses" in what or "lower it" in what


@given(evidence(), st.sampled_from(SLICES))
def test_every_interval_that_is_told_is_one_of_the_evidence(given_, slice):
    found, board, prices = given_
    what, _ = advise(found, board, prices, "ndcg@10", slice, None)
    known = {f"{x.lift:+.4f} ({x.low:+.4f} to {x.high:+.4f})" for x in [*found, *board]}
    told = re.findall(r"[+-]\d\.\d{4} \([+-]\d\.\d{4} to [+-]\d\.\d{4}\)", what)
    assert set(told) <= known
    claimed = re.findall(r"adds? ([+-]\S+) \(([+-]\S+) to", what)
    assert all(float(low) >= 0 and float(lift) > 0 for lift, low in claimed)


def test_nothing_proved_is_too_little_data_and_says_how_large_a_lift_must_be():
    found = [Step(*TEXT, "all", 1484, 0.002, -0.004, 0.008), Step(*TOKENS, "all", 1484, 0.0003, -0.009, 0.0098, -0.004)]
    what, price = advise(found, [], [Price("flavour", 305, 305, 0.0)], "ndcg@10", "all", 0.0119)
    assert what == (
        "Too little data to tell whether raw text or generated tokens serve it better: neither is proved to raise "
        "ndcg@10 on all lists (raw text +0.0020 (-0.0040 to +0.0080), tokens +0.0003 (-0.0090 to +0.0098); "
        "1,484 lists; the smallest lift that it could show is 0.0119)."
    )
    assert price == (
        "The 305 texts of flavour took 305 LM calls and $0.00, and no lift of theirs is proved (at most +0.0321 "
        "ndcg@10 per 1,000 LM calls); embedding raw text asks no LM."
    )


def test_a_proved_lift_has_its_price_per_thousand_calls():
    found = [Step(*TEXT, "all", 900, 0.002, -0.001, 0.005), Step(*TOKENS, "all", 900, 0.004, 0.002, 0.006, 0.001)]
    found.append(Step(*TOKENS, "warm", 800, -0.003, -0.005, -0.001, -0.006))
    what, price = advise(found, [], [Price("about", 500, 500, 1.25)], "ndcg@20")
    assert what.startswith("Write tokens") and "not for warm items, where it loses (-0.0030" in what
    whole = Row("about", "all", 900, 0.004, 0.002, 0.006, 0.01, *[float("nan")] * 3, 0.003, 0.001, 0.005, "helps")
    _, price = advise(found, [whole], [Price("about", 500, 500, 1.25)], "ndcg@20")
    assert price == (
        "The 500 texts of about took 500 LM calls and $1.25: +0.0080 ndcg@20 per 1,000 LM calls (+0.0040 to +0.0120)."
    )
    _, price = advise(found, [whole], [Price("about", 500, 0)], "ndcg@20")
    assert "played back from a recording" in price and "per 1,000 texts" in price
    mixed = [Price("flavour", 300, 400, 2.0), Price("asking", 100, 0, 0.0)]
    _, price = advise(found, [], mixed, "ndcg@20")
    assert "400 LM calls and $2.00 (100 of the texts were played back" in price and "per 1,000 texts" in price


@pytest.fixture(scope="module")
def world():
    data, _ = taste_world(seed=3, n_users=80, n_items=40, n_events=2500)
    return make_lists(data, TEST)


def test_steps_are_the_paired_differences_widened_for_four_slices(world):
    rng, lists = np.random.default_rng(0), world
    arms = ArmScores(lists)
    for arm, signal in (("behaviour", 0.2), ("raw_text", 0.9), ("raw_text+tokens", 2.0), ("placebo", 0.9)):
        arms.scores[arm] = (rng.normal(size=len(lists.label)) + signal * lists.label).astype(np.float32)
        arms.ranks[arm] = relevant_ranks(arms.scores[arm], lists)
    found = steps(arms, "ndcg@10")
    assert {(s.arm, s.over) for s in found} == {TEXT, TOKENS}
    whole = next(s for s in found if (s.arm, s.over) == TOKENS and s.slice == "all")
    plain = compare(arms, "raw_text+tokens", "raw_text", "ndcg@10")
    assert whole.lift == plain.value and whole.n == plain.n
    low, high = plain.interval()
    assert whole.low <= low < high <= whole.high and whole.gains and whole.low_over_placebo > 0
    del arms.ranks["placebo"]
    assert not any(s.gains for s in steps(arms, "ndcg@10") if (s.arm, s.over) == TOKENS)  # what nobody was held against
    del arms.ranks["raw_text+tokens"]
    assert {s.arm for s in steps(arms, "ndcg@10")} == {"raw_text"}


def test_a_slice_without_lists_has_no_step():
    data = dataset([0, 1, 0, 1], [0, 1, 1, 0], [0, 0, FIT, FIT], 2, 2)
    lists = make_lists(data, FIT)
    arms = ArmScores(lists)
    for arm in ("behaviour", "raw_text"):
        arms.scores[arm] = np.zeros(len(lists.label), np.float32)
        arms.ranks[arm] = relevant_ranks(arms.scores[arm], lists)
    found = steps(arms, "ndcg@10")
    assert found and "warm" not in {s.slice for s in found} and not any(s.enough for s in found)
    what, price = advise(found, [], [], "ndcg@10")
    assert what.startswith("Too little data") and "nan" not in what + price and "inf" not in what + price

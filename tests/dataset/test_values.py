"""Cells to values, where a file would be a detour."""

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenrec.dataset.values import as_id, as_list, as_time, clean


@pytest.mark.parametrize("cell", ["[1" + " " * 90_000 + "x]", "['a" + "\\'" * 40_000 + "]", 'c("a",' * 15_000 + ")"])
def test_a_hostile_cell_costs_no_time(cell):
    """Backtracking over any of these would take minutes."""
    assert as_list(cell) is None


def test_a_stray_escape_makes_no_noise():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert as_list(r"""['a\d', "b"]""") == [r"a\d", "b"]


@given(st.lists(st.text() | st.integers() | st.none() | st.booleans()))
def test_any_flat_list_that_python_prints_is_read_back(value):
    assert as_list(repr(value)) == value


@given(st.text())
def test_clean_text_can_always_be_stored(text):
    cleaned = clean(text, lambda kind: None)
    assert cleaned.encode().decode() == cleaned == clean(cleaned, lambda kind: None)
    assert "\0" not in cleaned and "\r" not in cleaned


def test_one_id_however_a_format_spells_it():
    assert {as_id(v, untyped=True) for v in ("12", " 12 ", "12.0", 12, 12.0)} == {"12"}
    assert as_id("12.0", untyped=False) == "12.0"
    assert [as_id(v, untyped=True) for v in ("", "  ", None, float("nan"), True, [1])] == [None] * 6


def test_times_that_mean_the_same_are_the_same():
    same = ("2024-03-01", "2024/3/1", "2024-03-01T00:00:00Z", "2024-03-01 02:00:00+02:00", "2024-03-01 00:00:00 UTC",
            "Thu Feb 29 17:00:00 -0700 2024")  # fmt: skip
    assert {as_time(v) for v in same} == {("date", 1709251200.0)}
    assert [as_time(v) for v in ("01/03/2024", "Fri Sep 08 99:44:24 -0700 2017", "Xxx Sep 08 10:44:24 -0700 2017", "2024-02-30", "", None, True, "inf")] == [None] * 8

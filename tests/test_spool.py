"""A spool is a list that lies on disk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenrec import spool
from tokenrec.errors import ServiceError
from tokenrec.spool import Records, Spool

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.lists(JSON, max_size=30), st.data())
def test_it_reads_as_the_list_that_was_written(rows, data):
    made = Spool(rows[:10])
    for row in rows[10:]:  # reading in between moves the file
        assert not len(made) or made[-1] == rows[len(made) - 1]
        made.append(row)
    assert len(made) == len(rows) and list(made) == rows
    cut = data.draw(st.slices(len(rows)))
    assert made[cut] == rows[cut]
    for at in range(-len(rows), len(rows)):
        assert made[at] == rows[at]


@given(st.lists(st.text(st.characters(codec=None))))
def test_texts_come_back_with_half_pairs_and_line_ends(rows):
    assert list(spool.texts(rows)) == rows


def test_more_than_memory_may_hold_goes_to_disk():
    rows = Spool(f"{i}" * 1000 for i in range(4000))
    assert rows._file._rolled and rows[3999] == "3999" * 1000 and [len(r) for r in rows[8:12]] == [1000, 1000, 2000, 2000]


class Full:
    """A file on a full disk."""

    def write(self, data):
        raise OSError(28, "No space left on device")

    seek = write


def test_a_full_disk_is_said():
    rows = Spool("ab")
    rows._file = Full()
    for use in (lambda: rows.append("c"), lambda: rows[0], lambda: list(rows)):
        with pytest.raises(ServiceError, match="No space left on device. Make room there, or set TMPDIR"):
            use()


def test_records_are_found_by_id_and_in_any_order():
    found = Records()
    for n, key in enumerate("bca"):
        found.add(key, {"n": n}, n + 2)
    found.drop("c")
    assert dict(found) == {"b": {"n": 0}, "a": {"n": 2}} and found.line("a") == 4 and "c" not in found
    ordered = found.ordered(["a", "nobody", "b"])
    assert list(ordered) == [{"n": 2}, {}, {"n": 0}] == ordered[:] and ordered[-1] == {"n": 0}

"""Compiled programs on disk: stable, whole, and refused when broken."""

import os

import pytest

from tokenrec.errors import InputError
from tokenrec.tasks.compiled import read_lock, write_lock

SAVED = {"signature": {"instructions": "Say it.", "fields": []}, "demos": [{"name": "Crème 甜"}], "fields": {}}
DOCUMENT = {"task": "t", "source_id": "s", "state": {"write": SAVED, "choose": SAVED}, "lm_id": "m"}


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "compiled" / "r" / "t@lm.v1.json"
    write_lock(path, DOCUMENT)
    lock = read_lock(path)
    assert lock.document == DOCUMENT and lock.source_id == "s" and lock.state == DOCUMENT["state"]
    assert os.listdir(path.parent) == ["t@lm.v1.json"]


def test_the_order_of_keys_does_not_show_and_characters_are_readable(tmp_path):
    write_lock(tmp_path / "a.json", DOCUMENT)
    write_lock(tmp_path / "b.json", dict(reversed(DOCUMENT.items())))
    text = (tmp_path / "a.json").read_bytes()
    assert text == (tmp_path / "b.json").read_bytes() and "Crème 甜".encode() in text and text.endswith(b"}\n")


def test_an_unchanged_lock_is_not_touched(tmp_path):
    path = tmp_path / "a.json"
    write_lock(path, DOCUMENT)
    os.utime(path, (1, 1))
    write_lock(path, DOCUMENT)
    assert path.stat().st_mtime == 1
    write_lock(path, DOCUMENT | {"lm_id": "n"})
    assert path.stat().st_mtime > 1


def test_a_write_that_fails_leaves_the_old_lock(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_lock(path, DOCUMENT)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError):
        write_lock(path, DOCUMENT | {"lm_id": "n"})
    assert read_lock(path).document == DOCUMENT


BROKEN = ["", "{", "[]", "{}", '{"source_id": "s"}', '{"source_id": "s", "state": {"write": {}}}', '"x"', b"\xff\xfe"]


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_lock_is_named(tmp_path, text):
    path = tmp_path / "t@lm.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match="t@lm.json.*compile again"):
        read_lock(path)


def test_no_lock_is_none(tmp_path):
    assert read_lock(tmp_path / "none.json") is None

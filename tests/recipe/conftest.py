from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with the good recipe's data files."""
    (tmp_path / "tokenrec.yaml").write_text("")
    (tmp_path / "plants.jsonl").write_text('{"pid": "1", "name": "Fern", "notes": "shade"}\n')
    (tmp_path / "events.csv").write_text("buyer,pid,day,rating\na,1,1,5\n")
    return tmp_path


@pytest.fixture
def write(folder: Path):
    """Write a recipe's text (or bytes) and return its path."""
    def put(text: str | bytes, name: str = "r.yaml") -> Path:
        path = folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return put

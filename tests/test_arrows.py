"""Arrows point one way: a folder imports from those before it in the flow, never from those after it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tokenrec"
FLOW = ["dataset", "tasks", "generate", "features", "ranking", "evidence", "compiler", "serve", "report", "cli"]
BENEATH = ["ids.py", "errors.py", "files.py", "spool.py", "encoders", "lm"]  # pure tools, which know no stage


def imported(folder: str) -> set[str]:
    """The folders of tokenrec that the files of `folder` import from, late imports too."""
    found = set()
    for file in [PACKAGE / folder] if folder.endswith(".py") else (PACKAGE / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
            found |= {n.split(".")[1] for n in names if n.startswith("tokenrec.")}
    return found - {folder}


@pytest.mark.parametrize("folder", [*BENEATH, *FLOW])
def test_arrows_point_one_way(folder):
    after = FLOW[FLOW.index(folder) + 1 :] if folder in FLOW else FLOW
    assert not imported(folder) & set(after)

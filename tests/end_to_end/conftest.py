"""One finished small project, made once and read by many tests."""

import pytest

from tests.end_to_end.worlds import Finished, contents, project, tokenrec


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Finished:
    """A project compiled twice from a recording: no LM, so whatever differs is ours."""
    root = tmp_path_factory.mktemp("finished")
    recipe = project(root)
    code, first, said = tokenrec("compile", recipe)
    assert code == 0, said
    before = contents(root)
    code, second, said = tokenrec("compile", recipe)
    assert code == 0, said
    return Finished(root, recipe, first, second, before)

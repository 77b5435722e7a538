"""A small project that a server wrote, with every kind of answer: sound, repaired, malformed, rejected, failed."""

from collections import Counter

import pytest

from tests.end_to_end.conftest import finished  # noqa: F401 - the same, made once for these tests
from tests.end_to_end.server import sensible, serving
from tests.end_to_end.worlds import RECIPE, Finished, contents, dishes, lend_vectors, project, tokenrec

KEY = "sk-cli-77e1d0c2b5"
HOSTILE = "[red]Soup[/red] \x1b[31m\u202eevil [bold"
PRICE = ", price: {input: 2, output: 8}"
TWICE = RECIPE.replace("outputs: {line:", "samples: 2\n    outputs: {line:")


def wayward(items: list[dict]):
    """Answers that depend on the dish, and on how often its question was asked before."""
    asked: Counter[str] = Counter()
    names = [i["name"] for i in items]

    def answer(text: str) -> str | int:
        asked[text] += 1
        about = next((n for n in range(len(names)) if f"[[ ## name ## ]]\n{names[n]}\n" in text), None)
        line = "menu line" in text
        if about == 1 and line and asked[text] == 1:
            return '{"line": "a line that was never'
        if about == 2 and line:
            return "oops"
        if about == 3 and line and asked[text] == 1:
            return '{"line": "As an AI language model I cannot say."}'
        if about == 4 and not line:
            return 400
        return sensible(text)

    return answer


@pytest.fixture(scope="session")
def served(tmp_path_factory, finished) -> Finished:  # noqa: F811
    """A project compiled once by a server of known price. Its server is gone."""
    root = tmp_path_factory.mktemp("served")
    items = dishes()
    items[0]["name"] = HOSTILE
    with pytest.MonkeyPatch.context() as patch, serving(wayward(items)) as server:
        patch.setenv("CLI_KEY", KEY)
        model = f"{{kind: api, model: openai/small, api_base: '{server.url}', api_key_env: CLI_KEY{PRICE}}}"
        recipe = project(root, items=items, recipe=TWICE, writer="served", models=model)
        lend_vectors(finished.root, root)
        code, document, said = tokenrec("compile", recipe)
    assert code == 0, said
    return Finished(root, recipe, document, {}, contents(root))

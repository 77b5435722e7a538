"""`recommend --write`: lines written for the request pass the gates on the record alone, and are stored nowhere."""

import json
import re

import pytest

from tests.end_to_end.server import sensible, serving
from tests.end_to_end.worlds import RECIPE, dishes, project, store, tokenrec

SERVED = RECIPE + "recommend: {contains: [ingredients], line: menu_line.line}\n"
MODELS = "{kind: api, model: openai/small, api_base: 'URL', price: {input: 2, output: 8}}"


def writes(text: str) -> str:
    """Asked for a request it tells the wish as a fact, but of what has tofu in its name."""
    if "looked_for" not in text:
        return sensible(text)
    name = re.findall(r"\[\[ ## name ## \]\]\n(.*)", text)[-1].strip()
    first, second, third, *_ = json.loads(re.findall(r"\[\[ ## ingredients ## \]\]\n(\[.*?\])\n", text, re.S)[-1])
    return json.dumps({"line": f"{first.capitalize()}, {second} and {third if 'Tofu' in name else 'roasted peanuts'}."})


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    root = tmp_path_factory.mktemp("lines")
    with pytest.MonkeyPatch.context() as patch, serving(writes) as served:
        patch.setenv("OPENAI_API_KEY", "none")
        recipe = project(root, items=dishes(24), recorded=[], recipe=SERVED, writer="served",
                         models=MODELS.replace("URL", served.url))  # fmt: skip
        assert tokenrec("compile", recipe)[0] == 0
        yield recipe, served


def test_a_wish_that_is_told_as_a_fact_is_not_shown(shop, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    recipe, served = shop
    asked, before = len(served.requests), store(recipe.parent).execute("select count(*) from completions").fetchone()
    code, document, said = tokenrec("recommend", recipe, "tofu with roasted peanuts", "-k", "5", "--write")
    assert code == 0, said
    assert 5 <= len(served.requests) - asked <= 10  # one repair each at the most
    assert "roasted peanuts" in served.texts()[-1]
    new = [i for i in document["results"] if i["line_source"] == "written"]
    own = {d["name"]: [x.lower() for x in d["ingredients"]] for d in dishes(24)}
    for item in new:  # a wish that is true of a dish may be told of it
        assert "roasted peanuts" not in item["line"] or "roasted peanuts" in own[item["name"]], item
    assert "Soft tofu, minced beef and doubanjiang." in [i["line"] for i in new]
    old = [i for i in document["results"] if i["line_source"] != "written"]
    assert old and not any("peanut" in (i["line"] or "") for i in old)
    db = store(recipe.parent)
    assert db.execute("select count(*) from completions").fetchone() == before
    assert not db.execute("select 1 from completions where inputs like '%tofu with%'").fetchall()
    run, = db.execute("select run from runs where command = 'recommend'").fetchone()
    assert db.execute("select sum(calls) from spend where run = ?", [run]).fetchone()[0] == len(served.requests) - asked


def test_a_recipe_without_a_line_says_what_it_needs(shop, monkeypatch):
    recipe, _ = shop
    text = recipe.read_text()
    try:
        recipe.write_text(text.replace(", line: menu_line.line", ""))
        code, error, _ = tokenrec("recommend", recipe, "tofu", "--write")
    finally:
        recipe.write_text(text)
    assert code == 2 and "recommend: {line: task.output}" in error["message"]


def test_a_recipe_may_ask_for_lines_and_a_menu_outlives_its_writer(shop, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    recipe, served = shop
    text = recipe.read_text()
    try:
        recipe.write_text(text.replace("line: menu_line.line}", "line: menu_line.line, write: true}"))
        asked = len(served.requests)
        code, document, said = tokenrec("recommend", recipe, "tofu", "-k", "3")
        assert code == 0 and len(served.requests) > asked, said
        assert "written" in {i["line_source"] for i in document["results"]}
        asked = len(served.requests)
        code, document, said = tokenrec("recommend", recipe, "tofu", "-k", "3", "--no-write")
        assert code == 0 and len(served.requests) == asked, said
        assert {i["line_source"] for i in document["results"]} <= {"stored", "none"}
        monkeypatch.setattr(served, "answer", lambda text: 400)
        code, document, said = tokenrec("recommend", recipe, "tofu", "-k", "3")
        assert code == 0 and any("scripted fault" in n for n in document["notes"]), (document["notes"], said)
        assert len(document["results"]) == 3
        assert tokenrec("recommend", recipe, "tofu", "-k", "3", "--write")[0] == 4
    finally:
        recipe.write_text(text)


@pytest.mark.parametrize("models, why", [
    ("{kind: api, model: openai/small, api_key_env: NO_SUCH_KEY}", "needs a key"),
    ("{kind: replay, path: tape.jsonl}", "is a recording"),
])
def test_a_writer_that_can_not_be_used_takes_no_menu_with_it(shop, monkeypatch, models, why):
    recipe, _ = shop
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    config, text = recipe.parent / "tokenrec.yaml", recipe.read_text()
    old = config.read_text()
    try:
        config.write_text(f"{old}  other: {models}\n")
        recipe.write_text(text.replace("line: menu_line.line}", "line: menu_line.line, write: true}").replace(
            "    write: A menu line.\n", "    writer: other\n    write: A menu line.\n"))
        code, document, said = tokenrec("recommend", recipe, "tofu", "-k", "3")
        assert code == 0 and any(why in n for n in document["notes"]), said
        assert {i["line_source"] for i in document["results"]} <= {"stored", "none"}
        code, document, said = tokenrec("recommend", recipe, "tofu", "-k", "3", "--write")
        assert code == 2 and why in document["message"]
    finally:
        config.write_text(old)
        recipe.write_text(text)

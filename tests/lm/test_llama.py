"""Likelihoods and constrained text of the bundled model."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tokenrec.errors import InputError, ServiceError
from tokenrec.lm.llama import Llama
from tokenrec.recipe.outputs import Lexicon
from tokenrec.tasks.lexicon import pattern

TASTES = "Name: Lemon Tart\nTaste: sour\n\nName: Roast Beef\nTaste: savory\n\nName: {}\nTaste:"


def test_likelihoods_are_probabilities_and_repeat(llama):
    choices = ["sour", "spicy", "savory"]
    first, used = llama.choose(TASTES.format("Chilli con Carne"), choices)
    again, _ = llama.choose(TASTES.format("Chilli con Carne"), choices)
    assert list(first) == choices and sum(first.values()) == pytest.approx(1)
    assert first == pytest.approx(again, abs=0.02)  # to the rounding of cached batches
    assert used.prompt_tokens > 0 and used.completion_tokens >= 1


def test_an_obvious_case_ranks_right(llama):
    chances, _ = llama.choose(TASTES.format("Hot Chilli Peppers with Cayenne"), ["sour", "spicy", "savory"])
    assert max(chances, key=chances.get) == "spicy"
    chances, _ = llama.choose(TASTES.format("Lemon Curd, Lemon Juice"), ["sour", "spicy", "savory"])
    assert max(chances, key=chances.get) == "sour"


def test_choices_that_share_words_are_told_apart(llama):
    """Also where one choice is the beginning of another."""
    prompt = "Name: Burger\nCourse: main dish\n\nName: Fries\nCourse: side dish\n\nName: {}\nCourse:"
    choices = ["side dish", "side salad", "side", "main dish"]
    chances, used = llama.choose(prompt.format("Mashed Potatoes"), choices)
    assert len(set(chances.values())) == len(choices) and used.completion_tokens > 1
    assert chances["side dish"] > chances["side salad"]
    assert llama.choose(prompt.format("Mashed Potatoes"), choices[::-1])[0] == pytest.approx(chances, abs=0.02)


def test_choices_in_chinese_are_read_byte_by_byte(llama):
    """One character can be several LM tokens, and half a character is no text."""
    prompt = "菜: 柠檬挞\n味: 酸\n\n菜: 蜂蜜蛋糕\n味: 甜\n\n菜: 柠檬汁\n味:"
    chances, _ = llama.choose(prompt, ["甜", "酸", "辣"])
    assert sum(chances.values()) == pytest.approx(1) and len(set(chances.values())) == 3


def test_what_threads_ask_at_once_is_answered_as_alone(llama):
    """Nothing shares a batch: there likelihoods moved by .1 and choices from run to run."""

    def ask(name: str):
        prompt = TASTES.format(name)
        return llama.choose(prompt, ["sour", "spicy", "savory"])[0], llama.complete(prompt, max_tokens=3).text

    names = ["Hot Chilli Peppers", "Lemon Curd", "Roast Pork", "Gherkins"]
    alone = [ask(name) for name in names]
    with ThreadPoolExecutor(len(names)) as threads:
        together = list(threads.map(ask, names))
    for (chances, text), (as_alone, same) in zip(together, alone, strict=True):
        assert chances == pytest.approx(as_alone, abs=0.02) and text == same


def test_a_prompt_longer_than_the_context_says_so(llama):
    for ask in (lambda p: llama.choose(p, ["a", "b"]), lambda p: llama.complete(p, max_tokens=3)):
        with pytest.raises(ServiceError, match="context size"):
            ask("word " * 600)
    assert llama.complete("One, two,", max_tokens=2).text  # and the model goes on working


def test_a_missing_or_broken_gguf_is_named(tmp_path, llama):
    with pytest.raises(InputError, match="nothing.gguf: no such GGUF"):
        Llama(str(tmp_path / "nothing.gguf"))
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(40))
    with pytest.raises(InputError, match="broken.gguf: llama.cpp can't load"):
        Llama(str(tmp_path / "broken.gguf"))


def test_text_under_a_schema_is_json_of_that_schema(llama):
    schema = {
        "type": "object", "properties": {"line": {"type": "string"}, "stars": {"type": "integer"}},
        "required": ["line", "stars"], "additionalProperties": False,
    }  # fmt: skip
    done = llama.complete("Describe a lemon tart as JSON.\nOutput:", max_tokens=100, schema=schema)
    answer = json.loads(done.text)
    assert isinstance(answer["line"], str) and isinstance(answer["stars"], int) and done.finish_reason == "stop"


@pytest.mark.parametrize(
    "entries",
    [
        ["sweet potato", "egg-white", "salt & pepper"],
        ["(dried) figs", "c++", "a|b", "[x]", "{2}", "^$", "*?", "50% cocoa"],
        ['7" tortilla', "back\\slash", "it's", "#1 ~flour"],
        ["crème fraîche", "豆腐", "😀 cup"],
        ['"'],
    ],
)
def test_every_text_of_a_lexicon_obeys_it(llama, entries):
    lexicon = Lexicon(**{"from": ["food"], "words": ["with", ",", "and (or)"], "most": 3})
    allowed = pattern(lexicon, {"food": entries})
    schema = {
        "type": "object", "properties": {"line": {"type": "string", "pattern": allowed}},
        "required": ["line"], "additionalProperties": False,
    }  # fmt: skip
    done = llama.complete(f"Food: {', '.join(entries)}\nOutput:", max_tokens=60, schema=schema, temperature=0.7, seed=1)
    assert re.fullmatch(allowed, json.loads(done.text)["line"])

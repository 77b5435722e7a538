"""Requests in other languages, through a dictionary; what can't be served is refused."""

from pathlib import Path

import pytest

from tokenrec.errors import InputError
from tokenrec.serve.request import load_words, read
from tokenrec.serve.wording import parse

ZH = load_words(Path(__file__).parents[2] / "recipes/kitchen/words_zh.yaml")


def test_chinese_requests_and_their_limits():
    said = {
        "想吃点开胃的": ("sour spicy fresh", []),
        "酸辣的汤，不要猪肉，30分钟以内，花生过敏": ("sour spicy soup", [("minutes", 30), "pork", "peanut"]),
        "对坚果和鸡蛋过敏，想吃甜点": ("dessert", ["nut", "egg"]),
        "不吃牛肉或羊肉，来点下饭的菜": ("savory spicy rice", ["beef", "lamb"]),
        "乳糖不耐受，想吃甜点": ("dessert", ["dairy"]),
        "无麸质的面": ("noodles", ["gluten"]),
        "猪肉不要，来点辣的": ("spicy", ["pork"]),
        "不能有猪肉": ("", ["pork"]),
        "素食的面条，半小时以内": ("noodles", [("minutes", 30), "vegetarian"]),
        "对鸡蛋、牛奶和花生过敏": ("", ["egg", "dairy", "peanut"]),
        "對花生過敏": ("", ["peanut"]),
        "不吃牛羊肉，也不吃鱼虾": ("", ["beef", "lamb", "fish", "prawn"]),
        "虾和蟹都不能吃": ("", ["prawn", "crab"]),
        "不喜欢吃鱼": ("", ["fish"]),
        "除了猪肉都可以": ("", ["pork"]),
        "孩子不吃辣": ("", ["chilli"]),
        "四十五分钟以内的汤": ("soup", [("minutes", 45)]),
        "不超过一个半小时": ("", [("minutes", 90)]),
        "清真": ("", ["halal"]),
        "不要太甜": ("not too sweet", []),
        "不知道吃什么，没有忌口": ("", []),
        "无花果蛋糕": ("fig cake", []),
    }
    for request, (rest, limits) in said.items():
        made = parse(read(request, [ZH], set()).text, ["minutes"], lambda what: False)
        assert (made.rest, [(x.name, x.most) if x.most else x.name for x in made.limits]) == (rest, limits), request


def test_a_turn_of_phrase_is_looked_for_by_what_it_means_too():
    en = load_words(Path(__file__).parents[2] / "recipes/kitchen/words_en.yaml")
    made = read("Something to wake up my appetite, no pork", [ZH, en], set())
    assert made.text == "Something to wake up my appetite, no pork, sour spicy fresh" and made.language == "en"
    assert read("enlightening soup", [ZH, en], {"soup"}).language is None  # whole words alone


def test_what_the_dictionary_lacks_is_said_and_looked_for_as_it_stands():
    made = read("我想吃麻婆豆腐", [ZH], set())
    assert made.language == "zh" and made.unknown == ["麻婆"] and made.text == "麻婆 tofu"


@pytest.mark.parametrize("request_", [
    "", "   ", "x" * 3000, "что-нибудь кислое и острое", "何か酸っぱいものが食べたいです", "ein kräftiger Eintopf mit vielen Linsen und Speck bitte",
])
def test_what_cannot_be_served_is_refused(request_):
    with pytest.raises(InputError):
        read(request_, [ZH], {"soup"})


def test_what_moves_a_terminal_is_taken_out():
    assert read("soup\x1b[31m \u202e now\x00", [ZH], {"soup"}).text == "soup [31m now"


def test_a_foreign_dish_that_the_catalogue_knows_is_no_foreign_language():
    assert read("boeuf bourguignon pour deux", [ZH], {"boeuf", "bourguignon"}).language is None


@pytest.mark.parametrize("text", ["- a", "language: zh\nwords: [a]", "language: zh\npatterns: {'(': x}", "words: {}"])
def test_a_broken_dictionary_names_its_file(tmp_path, text):
    (tmp_path / "w.yaml").write_text(text)
    with pytest.raises(InputError, match=r"w\.yaml"):
        load_words(tmp_path / "w.yaml")

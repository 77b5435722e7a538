"""Noise: what a careful reader throws away, and what only looks like it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenrec.gates.noise.copy import copied
from tokenrec.gates.noise.echo import echo
from tokenrec.gates.noise.known import known
from tokenrec.gates.noise.language import language
from tokenrec.gates.noise.length import length
from tokenrec.gates.noise.loops import cut_off, loops
from tokenrec.gates.noise.markup import markup
from tokenrec.gates.noise.refusal import refusal
from tokenrec.gates.noise.telling import telling
from tokenrec.gates.noise.vocabulary import vocabulary

SOUND = [
    "Silky tofu and browned beef in a numbing red chilli oil.",
    "A widow who cannot forgive her brother sails to Lisbon, where an apology waits.",
    "Sorry for Your Trouble is a quiet collection of stories about loss.",
    "They are unable to leave the island, and no map shows the way; please bring tissues.",
    "清香的豆腐裹着麻辣红油，米饭的好搭档。",
    "Zarte Klöße mit brauner Butter und Salbei.",
    "I'm sorry to see the last of it go, and I need a second bowl to be sure.",
    "The band could not be tamed: three chords, no apologies, and a chorus that will not let go.",
    "Here the crust is thin, the sauce bright with basil.",
]


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't write a menu line for this dish.",
        "I cannot provide a description without the ingredients.",
        "As an AI language model, I have no sense of taste.",
        "Please provide more information about the dish.",
        "Unable to generate a description for this item.",
        "There is not enough information to describe it.",
        "The given title does not match any known film.",
        "This artist does not have a description.",
        "Sure! Here is a menu line: silky tofu in chilli oil.",
        "很抱歉，我无法为您生成这道菜的描述。",
        "作为一个人工智能，我不能品尝食物。",
        "请提供更多关于这首歌的信息。",
        "Lo siento, pero no puedo escribir esa descripción.",
        "Je suis désolé, je ne peux pas fournir de description.",
        "Es tut mir leid, ich kann diese Beschreibung nicht erstellen.",
        "申し訳ありませんが、説明を生成できません。",
        "К сожалению, я не могу описать это блюдо.",
        "There isn't enough here for me to write about it.",
        "We would need the plot to describe it.",
        "As an assistant I have no opinion on phones.",
        "Writing menus is not something I'm able to do.",
        "以下是为您撰写的介绍：墨绿机身。",
    ],
)
def test_refusals_are_caught_and_quoted(text):
    found = refusal(text)
    assert not found.passed and found.quote and found.quote in text


@pytest.mark.parametrize("text", SOUND)
def test_sound_texts_pass_every_text_check(text):
    code = "zh" if "豆" in text else "de" if "Klöße" in text else "en"
    found = [
        refusal(text),
        markup(text),
        loops(text),
        cut_off(text),
        language(text, code),
        telling(text),
        copied(text, {}),
    ]
    assert [f for f in found if not f.passed] == []


@pytest.mark.parametrize(
    "text, quote",
    [
        ("A <b>bold</b> dish", "<b>"),
        ("Salt &amp; pepper squid", "&amp;"),
        ("A **bold** stew", "**bold**"),
        ("See https://example.org/x for more", "https://example.org/x"),
        ("Hot stew<|im_end|>", "<|im_end|>"),
        ("## Hot stew", "## Hot"),
        ("- beef\n- onion", "- beef\n- o"),
        ("stew\x07", "\x07"),
        ('{"line": "stew"}', '{"line":'),
    ],
)
def test_markup(text, quote):
    found = markup(text)
    assert not found.passed and found.quote == quote


def test_a_name_is_no_markup():
    assert markup("www.example.org plays loud techno", name="www.example.org").passed
    assert markup("Reese's M&M's & nuts, 5 < 6").passed


@pytest.mark.parametrize(
    "text",
    [
        "Rich and creamy and rich and creamy and rich and creamy and warm.",
        "hot hot hot hot hot",
        "Soooooooooo good",
        "The broth is deep and dark. Noodles follow. The broth is deep and dark.",
        "很好吃很好吃很好吃很好吃",
    ],
)
def test_loops(text):
    found = loops(text)
    assert not found.passed and found.quote in text and found.quote


def test_emphasis_is_no_loop():
    assert loops("A very, very, very slow roast: low and slow, slow and low.").passed


def test_cut_off_needs_proof_when_the_limit_was_not_reached():
    assert cut_off("Silky tofu in chilli oil").passed
    assert not cut_off("Silky tofu in chilli oil", "length").passed
    assert cut_off("Silky tofu in chilli oil.", "length").passed
    for text in ("Silky tofu in a sauce of", "Silky tofu with beef,", "豆腐配上麻辣的"):
        found = cut_off(text)
        assert not found.passed and text.endswith(found.quote)


def test_language_by_script_and_by_common_words():
    assert not language("这道菜又麻又辣，非常下饭。", "en").passed
    assert not language("Ein Gericht, das mit der Butter und dem Salbei auf den Tisch kommt.", "en").passed
    assert not language("A numbing dish with beef.", "zh").passed
    assert not language("Tofu in chilli oil. 这道菜又麻又辣，非常下饭。", "en").passed
    assert not language("これは辛い豆腐の料理です。", "zh").passed
    assert language("Boeuf bourguignon: beef braised in red wine.", "en").passed
    assert language("麻婆豆腐 is silky tofu in chilli oil.", "en", ["麻婆豆腐"]).passed
    assert language("whatever it is", "tlh").passed


IN = {
    "en": "Braised pork belly with soy, star anise and rock sugar.",
    "es": "Un guiso de lentejas con chorizo y pimentón ahumado.",
    "de": "Geschmortes Rindfleisch in dunkler Soße mit Klößen.",
    "fr": "Un gratin doré au four, avec du fromage fondu dessus.",
    "it": "Gnocchi di patate conditi con burro fuso e salvia.",
    "pt": "O bacalhau não leva sal, são as azeitonas que dão o sabor.",
    "tr": "Közlenmiş patlıcan üzerine yoğurt ve tereyağlı kuzu eti.",
    "vi": "Bún bò cay nồng với sả, mắm ruốc và rau thơm.",
    "ru": "Тушёная говядина с картофелем и свежей зеленью.",
    "uk": "Гарячий борщ із пампушками та свіжою сметаною.",
    "ar": "حساء العدس مع الكمون والليمون والخبز المحمص.",
    "ja": "豚の角煮を醤油とみりんで柔らかく煮込みました。",
    "zh": "红烧五花肉，加酱油、八角和冰糖慢炖。",
    "ko": "된장과 두부를 넣고 끓인 따뜻한 찌개입니다.",
}


@pytest.mark.parametrize("code", IN)
def test_every_language_passes_as_itself_and_as_no_other(code):
    assert language(IN[code], code).passed
    assert [other for other in IN if other != code and language(IN[code], other).passed] == []


@pytest.mark.parametrize(
    "text",
    [
        "Pad Thai with nam pla",
        "Boeuf bourguignon with pommes dauphinoise and haricots verts",
        "Spaghetti aglio e olio with peperoncino",
        "Huevos rancheros with pico de gallo and queso fresco",
        "Khao soi, som tam, larb moo and sticky rice",
        "Coq au vin",
        "Bún chả with nước chấm, herbs and rice noodles",
        "Schnitzel with spätzle and sauerkraut",
        "Salade niçoise: tuna, egg, olives and green beans",
    ],
)
def test_foreign_names_of_dishes_are_no_foreign_text(text):
    assert language(text, "en").passed


def test_a_foreign_title_is_the_subjects_name():
    title = "La bibliotecaria de Auschwitz"
    text = f"{title} is a novel that follows a young girl."
    assert language(f"{title}, novela de Iturbe", "en", [title]).passed and language(text, "en", [title]).passed
    own = "La bibliotecaria de Auschwitz es una historia basada en hechos reales."
    assert language(own, "en", [title]).reason == "reads as es, not en"


def test_a_sentence_in_another_language_among_others():
    text = "A dark stew of beef and wine. Il mijote pendant des heures avec des carottes et du thym. Serve it with bread."
    found = language(text, "en")
    assert not found.passed and found.quote.startswith("Il mijote") and found.quote.endswith("thym.")


def test_a_foreign_title_makes_no_chinese_text_foreign():
    assert language("推荐《Harry Potter》给孩子。", "zh").passed
    assert language("例如 Moulin Rouge 很好看", "zh").passed


def test_telling_wants_content_beside_the_name():
    assert not telling("Switched is a novel.", "Switched").passed
    assert not telling("Mapo Tofu is a truly delicious dish.", "Mapo Tofu").passed
    assert not telling("麻婆豆腐是一道美味的菜。", "麻婆豆腐").passed
    assert telling("Switched is a novel of changelings and trolls.", "Switched").passed
    assert telling("麻婆豆腐麻辣鲜香，豆腐滑嫩。", "麻婆豆腐").passed


METHOD = "Cut the tofu into cubes and steep in simmering salted water, then fry the beef until dry and browned."
RECORD = {"name": "Mapo Tofu", "ingredients": ["tofu", "beef"], "method": METHOD}


def test_copy_of_the_source():
    found = copied(METHOD, RECORD)
    assert not found.passed and found.score == 1 and found.quote in METHOD
    assert copied("Cubed tofu rests in hot salted water before it meets beef fried dry.", RECORD).passed
    assert copied("Tofu and beef", RECORD).passed


def test_echo_of_instruction_and_examples():
    instruction = "Write one line that tempts a diner without inventing anything about the dish."
    examples = [
        {"name": "Borscht", "method": "Simmer beets.", "line": "Ruby beet broth under a cool cloud of sour cream."}
    ]
    assert not echo(
        "One line that tempts a diner without inventing anything about the dish.", RECORD, instruction
    ).passed
    for copy in (
        "Ruby beet broth under a cool cloud of sour cream.",
        "Ruby beet broth beneath a cool cloud of sour cream",
    ):
        found = echo(copy, RECORD, instruction, examples)
        assert not found.passed and found.quote in copy
    assert echo("Silky tofu under a numbing cloud of pepper.", RECORD, instruction, examples).passed
    own = {"name": "Borscht", "method": "Simmer beets."}
    assert echo("Ruby beet broth under a cool cloud of sour cream.", own, instruction, examples).passed
    assert not echo("Output: silky tofu", RECORD).passed


def test_a_line_that_begins_with_a_field_of_the_prompt():
    assert not echo("Method: fry the beef.", RECORD).passed
    assert not echo("Line: silky tofu", RECORD, fields=("line",)).passed
    assert echo("One thing: silky tofu", RECORD, fields=("line",)).passed


def test_what_the_record_has_already():
    record = {"liked": ["The Glass Key", "Middlemarch"], "name": "Emma"}
    assert not known("the glass key!", ["liked"], record).passed
    assert known("The Glass Key Returns", ["liked"], record).passed
    assert known("Emma", ["liked"], record).passed and known("Middlemarch", [], record).passed


def test_length_is_held_to_the_word():
    assert length("one two three", 1, 3).passed
    assert not length("one two three four", 1, 3).passed
    assert not length("", 1, 3).passed


@pytest.mark.parametrize(
    "tags, why",
    [
        (["salty"], "not in"),
        (["Hot"], "write hot"),
        (["hot", "hot"], "twice"),
        ([], "at least"),
        (["hot", "sour", "sweet"], "at most"),
    ],
)
def test_vocabulary(tags, why):
    found = vocabulary(tags, ["hot", "sour", "sweet"], 1, 2)
    assert not found.passed and why in found.reason


def test_an_empty_list_is_an_answer_where_none_is_allowed():
    assert vocabulary([], ["hot"], 0, 2).passed


@given(st.text(max_size=200))
def test_quotes_are_verbatim_whatever_the_text(text):
    for found in (
        refusal(text), markup(text), loops(text), cut_off(text, "length"), language(text), telling(text),
        length(text, 3, 5), copied(text, {"x": text}), echo(text, {}, text, [{"line": text}]),
    ):  # fmt: skip
        assert found.quote in text

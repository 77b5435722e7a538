"""Every way to break a recipe names the very line, the key, and what to do."""

import pytest

from tests.recipe.recipe_samples import GOOD
from tokenrec.errors import InputError
from tokenrec.recipe.load import load_recipe

LINES = GOOD.split("\n")


def change(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


def at(old: str) -> int:
    """Line (from 1) of the one line of the good recipe that holds `old`."""
    found = [i for i, line in enumerate(LINES, 1) if old in line]
    assert len(found) == 1, (old, found)
    return found[0]


# (what it is, the broken text, line, key, a piece of the message, a piece of the advice)
KIND = "      kind: {type: choice, choices: [tree, herb]}"
BROKEN = [
    ("unquoted comparison in braces", change('positive: ">= 4"', "positive: >= 4"), at("positive"), "", "comparison", '">= 4"'),
    ("unquoted > in braces", change('"> 0.05"', "> 0.05"), at("fail_if"), "", "comparison without quotes", '">= 4"'),
    ("unquoted >= in a block", change('{fail_if: {noise_rate: "> 0.05"}}', "\n  fail_if:\n    noise_rate: >= 0.05"),
     at("fail_if") + 2, "", "comparison", '">= 4"'),
    ("folded scalar by accident", change('{fail_if: {noise_rate: "> 0.05"}}', "\n  fail_if:\n    noise_rate: >5"),
     at("fail_if") + 2, "eval.fail_if.noise_rate", "block of text", "in quotes"),
    ("unquoted != is a tag", change('positive: ">= 4"', "positive: != 4"), at("positive"), "", "comparison", "quotes"),
    ("tab", change("    for: user", "\tfor: user"), at("for: user"), "", "tab", "spaces"),
    ("colon in text", change('"What the buyer likes."', "What: the buyer likes"), at("What the buyer"), "", "second", "quotes"),
    ("unclosed quote", change('"What the buyer likes."', '"What the buyer likes.'), at("What the buyer"), "",
     "quote", "close"),
    ("unclosed brace", change(KIND, KIND[:-1]), at("kind: {"), "", "not closed", "close it"),
    ("duplicate key", change("    for: user", "    for: user\n    for: user"), at("for: user") + 1, "tasks.liking.for",
     f"given twice, first in line {at('for: user')}", "keep one"),
    ("duplicate task", change("  liking:", "  card:"), at("  liking:"), "tasks.card", "given twice", "keep one"),
    ("python tag", change("about: House plants.", "about: !!python/object/apply:os.system [ls]"), 2, "about", "tag", "plain"),
    ("unknown anchor", change("about: House plants.", "about: *plants"), 2, "", "*plants", "quotes"),
    ("merge key", change("    for: user", "    for: user\n    <<: {samples: 2}"), at("for: user") + 1,
     "tasks.liking.<<", "not read", "write the keys out"),
    ("second document", GOOD + "---\nname: b\n", len(LINES), "", "second document", "one recipe a file"),
    ("bad escape", change('"What the buyer likes."', r'"What \q likes"'), at("What the buyer"), "", "escape", "single quotes"),
    ("impossible character", change('"What the buyer likes."', r'"\UFFFFFFFF"'), at("What the buyer"), "", "escape", ""),
    ("escaped NUL", change("path: plants.jsonl", 'path: "a\\0"'), at("plants.jsonl"), "data.items.path", "invisible character U+0000", "remove"),
    ("infinite", change("        max: 2", "        max: .inf"), at("  max: 2"), "tasks.mood.outputs.feel.max", ".inf", "number"),
    ("empty section", change("objective: {metric: ndcg@10}", "objective:"), at("objective"), "objective", "empty", "remove"),
    ("unknown key at top", change("objective:", "objectiv:"), at("objective"), "objectiv", "no key", "did you mean objective?"),
    ("unknown key deep", change("max_words: 5", "max_word: 5"), at("max_words"), "tasks.mood.outputs.line.max_word",
     "no key", "did you mean max_words?"),
    ("unknown key in task", change("    history: {most: 5", "    histori: {most: 5"), at("history: {most"),
     "tasks.liking.histori", "no key", "did you mean history?"),
    ("bad name", change("name: plants\n", "name: my plants\n"), 1, "name", "my plants", "letters"),
    ("bad task name", change("  card:", "  the card:"), at("  card:"), "tasks.the card", "the card", "letters"),
    ("bad metric", change("ndcg@10", "ndgc@10"), at("ndcg"), "objective.metric", "ndgc@10", "ndcg@10"),
    ("bad output type", change("        type: tags", "        type: tag"), at("        type: tags"),
     "tasks.mood.outputs.feel.type", "tag", "did you mean tags?"),
    ("bad subject", change("    for: user", "    for: users"), at("for: user"), "tasks.liking.for", "users", "did you mean user?"),
    ("missing id", change("id: pid, text", "text"), at("items:"), "data.items", "lacks id", "add"),
    ("missing outputs", change("    outputs: {label: {type: text}}\n", ""), at("  card:"), "tasks.card", "lacks outputs", "add"),
    ("missing data", change(LINES[2], "date:"), 1, "", "lacks data", "add"),
    ("list for text", change('    write: "What the buyer likes."', "    write: [a]"), at("What the buyer"),
     "tasks.liking.write", "a list", "text"),
    ("text for list", change("inputs: [name, notes]", "inputs: name"), at("inputs: [name, notes]"), "tasks.mood.inputs",
     "a list is wanted", "[name]"),
    ("text for number", change("        max: 2", "        max: two"), at("        max: 2"), "tasks.mood.outputs.feel.max",
     "number", "without quotes"),
    ("yes for true", change("        max: 2", "        or_none: yes"), at("        max: 2"),
     "tasks.mood.outputs.feel.or_none", "true or false", "write true"),
    ("fraction of calls", change("calls: 30", "calls: 1.5"), at("calls"), "compile.budget.calls", "whole number", "like"),
    ("none of calls", change("calls: 30", "calls: 0"), at("calls"), "compile.budget.calls", "at least 1", ""),
    ("true among choices", change("[calm, wild, on, off]", "[calm, true]"), at("[calm, wild"),
     "tasks.mood.outputs.feel.choices[1]", "true", '"true"'),
    ("number among choices", change("[calm, wild, on, off]", "\n        - calm\n        - 3"), at("[calm, wild") + 2,
     "tasks.mood.outputs.feel.choices[1]", "number 3", '"3"'),
    ("number for choices", change("[calm, wild, on, off]", "7"), at("[calm, wild"), "tasks.mood.outputs.feel.choices", "7", ""),
    ("one choice", change("[tree, herb]", "[herb]"), at("kind: {"), "tasks.mood.outputs.kind.choices", "two", ""),
    ("choices repeat", change("[tree, herb]", "[herb, Herb]"), at("kind: {"), "tasks.mood.outputs.kind.choices", "repeat", ""),
    ("tags without choices", change("        choices: [calm, wild, on, off]\n", ""), at("  mood:") + 5,
     "tasks.mood.outputs.feel", "needs choices", ""),
    ("words_each beside choices", change(KIND, "      kind: {type: tags, choices: [tree, herb], words_each: 1}"), at("kind: {"),
     "tasks.mood.outputs.kind.words_each", "tags without choices", "remove one"),
    ("words_each of a text", change("line: {type: text, max_words: 5}", "line: {type: text, words_each: 1}"), at("line: {type"),
     "tasks.mood.outputs.line.words_each", "tags without choices", "remove"),
    ("facts of own words", change(KIND, "      kind: {type: tags, words_each: 1, grounding: closed}"), at("kind: {"),
     "tasks.mood.outputs.kind.grounding", "no fact is checked", "remove it"),
    ("example of three words", change(KIND, "      kind: {type: tags, words_each: 1}").replace("        kind: herb", "        kind: [herb of shade]"),
     at("kind: herb"), "tasks.mood.examples[0].kind[0]", "more words than words_each, 1", "shorten"),
    ("shares", change("history: 0.5", "history: 0.6"), at("split"), "data.split.history", "must be 1", ""),
    ("write and use", change('    write: "A line for the label."', '    write: "A line."\n    use: mint.X'),
     at("A line for"), "tasks.card.write", "either", ""),
    ("agreement and best of n", change("outputs: {label: {type: text}}",
     "outputs: {label: {type: text, grounding: open}}\n    samples: 2\n    agreement: {samples: 3}"), at("    outputs: {label") + 2,
     "tasks.card.agreement", "either agreement", "keep one"),
    ("agreement of closed texts", change("outputs: {label: {type: text}}",
     "outputs: {label: {type: text}}\n    agreement: {samples: 3}"), at("    outputs: {label") + 1, "tasks.card.agreement",
     "grounding is open", "remove"),
    ("budget without a share", change("    outputs: {label: {type: text}}", "    outputs: {label: {type: text}}\n    generate: {budget: 0%}"),
     at("    outputs: {label") + 1, "tasks.card.generate.budget", "0% is no budget", "such as 40%"),
    ("budget over all", change("    outputs: {label: {type: text}}", "    outputs: {label: {type: text}}\n    generate: {budget: 140%}"),
     at("    outputs: {label") + 1, "tasks.card.generate.budget", "140% is no budget", "a number of LM calls"),
    ("no calls", change("    outputs: {label: {type: text}}", "    outputs: {label: {type: text}}\n    generate: {select: cold, budget: 0}"),
     at("    outputs: {label") + 1, "tasks.card.generate.budget", "0 is no budget", "such as 40%"),
    ("budget of no kind", change("    outputs: {label: {type: text}}", "    outputs: {label: {type: text}}\n    generate: {budget: [1]}"),
     at("    outputs: {label") + 1, "tasks.card.generate.budget", "is no budget", "such as 40%"),
    ("unknown selection", change("    outputs: {label: {type: text}}", "    outputs: {label: {type: text}}\n    generate: {select: upift, budget: 9}"),
     at("    outputs: {label") + 1, "tasks.card.generate.select", "upift", "did you mean uplift?"),
    ("subjects and generate", change("    outputs: {label: {type: text}}",
     "    outputs: {label: {type: text}}\n    subjects: {most: 9}\n    generate: {budget: 9}"), at("    outputs: {label") + 1,
     "tasks.card.subjects", "either subjects", "keep one"),
    ("unverifiable of closed texts", change("outputs: {label: {type: text}}",
     "outputs: {label: {type: text, unverifiable: drop}}"), at("    outputs: {label"), "tasks.card.outputs.label.unverifiable",
     "grounding is open", "remove"),
    ("or_unknown of tags", change("        max: 2", "        or_unknown: true"), at("        max: 2"),
     "tasks.mood.outputs.feel.or_unknown", "goes with text", "remove"),
    ("unknown task", change("[name, $mood.feel]\n", "[name, $mod.feel]\n"), at("    inputs: [name, $mood"),
     "tasks.card.inputs[1]", "no task mod", "did you mean mood?"),
    ("unknown output", change("[name, $mood.feel]\n", "[name, $mood.feels]\n"), at("    inputs: [name, $mood"),
     "tasks.card.inputs[1]", "no output feels", "did you mean feel?"),
    ("not a reference", change("[name, $mood.feel]\n", "[name, $mood]\n"), at("    inputs: [name, $mood"),
     "tasks.card.inputs[1]", "no reference", "$task.output"),
    ("circle", change("inputs: [name, notes]", "inputs: [name, $card.label]"), at("  mood:"), "tasks.mood", "circle", "take"),
    ("itself", change("inputs: [name, notes]", "inputs: [name, $mood.kind]"), at("inputs: [name, notes]"),
     "tasks.mood.inputs[1]", "this very task", "take"),
    ("item token for a user", change("    history: {most: 5", "    inputs: [$mood.feel]\n    history: {most: 5"),
     at("history: {most"), "tasks.liking.inputs[0]", "about items", "history: {show: [$mood.feel]}"),
    ("user token for an item", change("[name, $mood.feel]\n", "[name, $liking.likes]\n"), at("    inputs: [name, $mood"),
     "tasks.card.inputs[1]", "about users", "take"),
    ("field of a user", change("    history: {most: 5", "    inputs: [age]\n    history: {most: 5"),
     at("history: {most"), "tasks.liking.inputs[0]", "no fields", "history"),
    ("choices of a text", change("$mood.feel.choices", "$mood.line.choices"), at("$mood.feel.choices"),
     "tasks.liking.outputs.likes.choices", "no choices", "refer"),
    ("choices in a circle", change("[calm, wild, on, off]", "$liking.likes.choices"), at("[calm, wild"),
     "tasks.mood.outputs.feel.choices", "circle", "list"),
    ("output named as input", change("inputs: [name, notes]", "inputs: [name, kind]"), at("inputs: [name, notes]"),
     "tasks.mood.inputs[1]", "also an output", "another name"),
    ("private field", change("send: [name, notes]", "send: [name]"), at("inputs: [name, notes]"), "tasks.mood.inputs[1]",
     "notes would go", "privacy.send"),
    ("private history", change("show: [name, $mood.feel]", "show: [light]"), at("history: {most"),
     "tasks.liking.history.show[0]", "light would go", "privacy.send"),
    ("unknown compiled task", change("{tasks: [mood]", "{tasks: [mod]"), at("compile:"), "compile.tasks[0]", "mod", "mood?"),
    ("unknown limit", change("{noise_rate:", "{noice_rate:"), at("fail_if"), "eval.fail_if.noice_rate", "no key", "noise_rate?"),
    ("lower limit", change('"> 0.05"', '"< 0.05"'), at("fail_if"), "eval.fail_if.noise_rate", "upper limit", '"> 0.10"'),
    ("limit over one", change('"> 0.05"', '"> 5"'), at("fail_if"), "eval.fail_if.noise_rate", "share", "between 0 and 1"),
    ("example tag", change("        feel: [calm]", "        feel: [clam]"), at("feel: [calm]"),
     "tasks.mood.examples[0].feel[0]", "clam", "did you mean calm?"),
    ("example tags over max", change("        feel: [calm]", "        feel: [calm, wild, on]"), at("feel: [calm]"),
     "tasks.mood.examples[0].feel", "max is 2", "best 2"),
    ("example choice", change("        kind: herb", "        kind: hreb"), at("kind: herb"),
     "tasks.mood.examples[0].kind", "hreb", "did you mean herb?"),
    ("example too long", change("A quiet green thing.", "A quiet green thing to have around."), at("A quiet"),
     "tasks.mood.examples[0].line", "7 words", "shorten"),
    ("example lacks output", change("        kind: herb\n", ""), at("- name: Fern"), "tasks.mood.examples[0]", "lacks", "add"),
    ("example unknown field", change("        notes: Likes", "        note: Likes"), at("notes: Likes"),
     "tasks.mood.examples[0].note", "no input or output", "did you mean notes?"),
    ("max on text", change("{type: text, max_words: 5}", "{type: text, max: 5}"), at("max_words"),
     "tasks.mood.outputs.line.max", "text", "max_words: 5"),
    ("lexicon of no input", change("{type: text, max_words: 5}", "{type: text, lexicon: {from: [note], words: [and]}}"),
     at("max_words"), "tasks.mood.outputs.line.lexicon.from[0]", "no input of mood", "did you mean notes?"),
    ("no time", change("time: day, ", ""), at("events:"), "data.events", "lacks time", "by: user"),
    ("positive without value", change("value: rating, ", ""), at("events:"), "data.events.positive", "no value", "name"),
    ("given without test", change("{by: time,", "{by: given,"), at("split"), "data.split.by", "test file", "data.events.test"),
    ("file missing", change("plants.jsonl", "plant.jsonl"), at("plants.jsonl"), "data.items.path", "not there",
     "did you mean plants.jsonl?"),
    ("file outside", change("plants.jsonl", "../x.jsonl"), at("plants.jsonl"), "data.items.path", "leaves", "allow_outside"),
    ("absolute path", change("plants.jsonl", "/etc/passwd"), at("plants.jsonl"), "data.items.path", "absolute", "allow_outside"),
    ("folder for file", change("plants.jsonl", "."), at("plants.jsonl"), "data.items.path", "folder", "name a file"),
    ("unknown model", GOOD + "lm:\n  writer: embeded\n", len(LINES) + 1, "lm.writer", "embeded", "did you mean embedded?"),
    ("unknown model of a task", change('    write: "A line for the label."', '    writer: embeded\n    write: "A line for the label."'), at("    write: \"A line for"), "tasks.card.writer", "embeded", "did you mean embedded?"),
    ("line of no task", GOOD + "recommend:\n  line: crad.line\n", len(LINES) + 1, "recommend.line", "crad is no task", "did you mean card?"),
    ("line that is tags", GOOD + "recommend:\n  line: mood.kind\n", len(LINES) + 1, "recommend.line", "no text about an item", "type text"),
    ("contains no field", GOOD + "recommend:\n  contains: [nots]\n", len(LINES) + 1, "recommend.contains[0]", "no field of the items", ""),
    ("words without file", GOOD + "recommend:\n  words: [nope.yaml]\n", len(LINES) + 1, "recommend.words[0]", "not there", ""),
    ("encoder as writer", GOOD + "lm:\n  writer: minilm\n", len(LINES) + 1, "lm.writer", "encoder", "embedded"),
    ("use without file", change('    write: "A line for the label."', "    use: ./mine.py:Card"), at("A line for"),
     "tasks.card.use", "not there", "mend"),
    ("use of nothing", change('    write: "A line for the label."', "    use: Card"), at("A line for"),
     "tasks.card.use", "no program", "name.Class"),
]


@pytest.mark.parametrize(("text", "line", "key", "wrong", "advice"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_fault_names_line_key_and_remedy(write, text, line, key, wrong, advice):
    path = write(text)
    with pytest.raises(InputError) as caught:
        load_recipe(path)
    message = str(caught.value)
    rows = [row for row in message.split("\n") if row.startswith(f"{path}:{line}: {key + ': ' if key else ''}")]
    assert any(wrong in row and advice in row for row in rows), message


# Faults that are two: e.g. a private field that two tasks show, an example that shows a field no longer an input.
TWO = {"private field", "missing data", "circle", "itself", "choices in a circle", "output named as input"}


@pytest.mark.parametrize(("what", "text"), [b[:2] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_one_fault_gives_one_line(write, what, text):
    """Nothing is reported that only follows from another report."""
    with pytest.raises(InputError) as caught:
        load_recipe(write(text))
    assert len(str(caught.value).split("\n")) == 1 or what in TWO, str(caught.value)


def test_all_faults_of_a_file_at_once(write):
    text = GOOD.replace("ndcg@10", "ndgc@10").replace("max_words: 5", "max_word: 5").replace("calls: 30", "calls: x")
    text = text.replace("[name, $mood.feel]\n", "[name, $mod.feel]\n").replace("plants.jsonl", "none.jsonl")
    path = write(text)
    with pytest.raises(InputError) as caught:
        load_recipe(path)
    rows = str(caught.value).split("\n")
    numbers = [int(row.removeprefix(f"{path}:").split(":")[0]) for row in rows]
    assert numbers == [at("plants.jsonl"), at("ndcg"), at("max_words"), at("    inputs: [name, $mood"), at("calls")]


@pytest.mark.parametrize(("raw", "line", "wrong"), [
    (b"", 1, "empty"),
    (b"# only a comment\n", 1, "empty"),
    (b"- a\n- b\n", 1, "list"),
    (b"\n\njust words\n", 3, "text"),
    (b"name: x\nabout: \xff\xfe\n", 2, "UTF-8"),
    ("name: x\n".encode("utf-16"), 1, "UTF-8"),
    (b"name: x\nabout: a\x00b\n", 2, "U+0000"),
    ("name: x\nabout: 很\u2028好\n".encode(), 2, "U+2028"),
    (b"name: " + b"[" * 200, 1, "deeper"),
    (b"a: &a [*a]\n", 1, "deeper"),
    (b"{[a]: b}\n", 1, "key"),
    (b"x: " + b"a" * 1_000_001, 1, "1 MB"),
], ids=["nothing", "comment", "list", "words", "latin", "utf16", "nul", "line separator", "deep", "self", "list key", "large"])
def test_unreadable_files(write, raw, line, wrong):
    path = write(raw)
    with pytest.raises(InputError) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(f"{path}:{line}: ") and wrong in str(caught.value)


def test_alias_bomb_is_refused_quickly(write):
    rows = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(InputError, match="holds more than"):
        load_recipe(write("\n".join(rows)))


def test_no_such_file(folder):
    with pytest.raises(InputError, match="cannot be read"):
        load_recipe(folder / "none.yaml")
    with pytest.raises(InputError, match="is a folder"):
        load_recipe(folder)

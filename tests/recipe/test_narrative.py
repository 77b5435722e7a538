"""What a recipe with sets, evidence, reviews, requests and parameters can get wrong: line, key, remedy."""

from pathlib import Path

import pytest

from tests.recipe.recipe_samples import GOOD as PLAIN
from tokenrec.errors import InputError
from tokenrec.recipe.load import load_recipe, task_order

GOOD = PLAIN.replace("  split:", """\
  reviews: {path: events.csv, user: buyer, item: pid, text: note, time: day, value: rating}
  queries: {path: events.csv, text: note, relevant: pid}
  split:""").replace("compile:", """\
  craving:
    for: set
    use: mint.NarrativeQuery
    with: {demos: 3}
    sets: {items: 5, show: [name, $mood.feel]}
    evidence: {max_words: 12}
    styles: [short, long]
    outputs: {query: {type: text, grounding: none, not_in: [liked]}}
    examples:
      - {style: short, liked: [Fern], query: "Something green?"}
  asking:
    for: item
    inputs: [name]
    use: mint.ItemQuery
    evidence: {reviews: 3}
    outputs: {query: {type: text, grounding: none}}
    examples:
      - {name: Fern, said: [It lives.], query: "Something that lives?"}
compile:""").replace("send: [name, notes]", "send: [name, notes, note]")  # fmt: skip


def test_the_good_one_is_good_and_runs_after_what_it_shows(write):
    loaded = load_recipe(write(GOOD))
    assert task_order(loaded.recipe) == ["mood", "card", "liking", "craving", "asking"]
    craving = loaded.recipe.tasks["craving"]
    assert craving.drawn.min_reviews == 10 and craving.drawn.max_liked == 30 and craving.evidence.total_words == 200


def at(old):
    [number] = [i for i, row in enumerate(GOOD.split("\n"), 1) if old in row]
    return number


BROKEN = [
    ("parameter", "with: {demos: 3}", "with: {demo: 3}", "with:", "tasks.craving.with.demo", "no parameter of mint.NarrativeQuery", "did you mean demos?"),
    ("parameter's value", "with: {demos: 3}", "with: {demos: many}", "with:", "tasks.craving.with.demos", "integer", "mend"),
    ("no such module", "use: mint.NarrativeQuery", "use: mint.Narrative", "use: mint.Narr", "tasks.craving.use", "Narrative", "mend"),
    ("parameters of write", "    use: mint.NarrativeQuery", "    write: Ask.", "with:", "tasks.craving.with", "goes with use", "remove"),
    ("sets of a user", "    history: {most: 5", "    sets: {items: 3}\n    history: {most: 5", "history: {most", "tasks.liking.sets", "for: set", "remove"),
    ("evidence of a user", "    history: {most: 5", "    evidence: {}\n    history: {most: 5", "history: {most", "tasks.liking.evidence", "for: set", "remove"),
    ("history of a set", "    sets: {items", "    history: {most: 3}\n    sets: {items", "sets: {items", "tasks.craving.history", "for: user", "remove"),
    ("unknown key", "sets: {items: 5", "sets: {item: 5", "sets: {items", "tasks.craving.sets.item", "no key", "did you mean items?"),
    ("impossible set", "sets: {items: 5", "sets: {min_liked: 40", "sets: {items", "tasks.craving.sets.min_liked", "above max_liked", "lower"),
    ("impossible sentence", "{max_words: 12}", "{max_words: 3}", "max_words: 12", "tasks.craving.evidence.max_words", "above max_words", "lower"),
    ("fields of a set", "    styles:", "    inputs: [name]\n    styles:", "styles:", "tasks.craving.inputs[0]", "no fields", "sets: {show: [name]}"),
    ("item token as input", "    styles:", "    inputs: [$mood.feel]\n    styles:", "styles:", "tasks.craving.inputs[0]", "for sets", "sets: {show: [$mood.feel]}"),
    ("private field", "5, show: [name, $mood.feel]}\n    evid", "5, show: [light, $mood.feel]}\n    evid", "sets: {items", "tasks.craving.sets.show[0]", "light would go", "privacy.send"),
    ("private reviews", "notes, note]", "notes]", "evidence: {reviews", "tasks.asking.evidence", "note would go", "privacy.send"),
    ("private evidence", "{reviews: 3}", "{of: [light]}", "{reviews: 3}", "tasks.asking.evidence.of[0]", "light would go", "privacy.send"),
    ("own name as output", "outputs: {query: {type: text, grounding: none}}", "outputs: {said: {type: text}}", "evidence: {reviews", "tasks.asking.outputs.said", "name by which", "another name"),
    ("popular sets", "    styles:", "    subjects: {most: 5, order: popular}\n    styles:", "styles:", "tasks.craving.subjects.order", "no order popular", "random"),
    ("example of no field", "said: [It lives.]", "sayd: [It lives.]", "said:", "tasks.asking.examples[0].sayd", "no input", "did you mean said?"),
    ("window of a user", "    history: {most: 5", "    window: all\n    history: {most: 5", "history: {most", "tasks.liking.window", "goes with sets", "remove"),
    ("no reviews file", "reviews: {path: events.csv", "reviews: {path: event.csv", "reviews: {path", "data.reviews.path", "not there", "events.csv"),
    ("no queries file", "queries: {path: events.csv", "queries: {path: event.csv", "queries: {path", "data.queries.path", "not there", "events.csv"),
    ("empty style", "[short, long]", '[short, " "]', "styles:", "tasks.craving.styles", "is empty", "remove"),
]  # fmt: skip


@pytest.mark.parametrize("old, new, where, key, wrong, advice", [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_faults_name_line_key_and_remedy(write, old, new, where, key, wrong, advice):
    assert GOOD.count(old) == 1, old
    path = write(GOOD.replace(old, new))
    with pytest.raises(InputError) as caught:
        load_recipe(path)
    rows = [r for r in str(caught.value).split("\n") if f": {key}: " in r]
    assert rows and wrong in rows[0] and advice in rows[0], str(caught.value)
    number = int(rows[0].removeprefix(f"{path}:").split(":")[0])
    assert abs(number - at(where)) <= 1, (number, at(where))


def test_texts_of_later_windows_reach_no_other_task(write):
    text = GOOD.replace("inputs: [name]\n", "window: all\n    inputs: [name]\n")
    load_recipe(write(text))
    shown = text.replace("[name, $mood.feel]\n    write", "[name, $asking.query]\n    write")
    with pytest.raises(InputError, match=r"card.inputs\[1\].*written from later windows too"):
        load_recipe(write(shown))


def test_sets_by_the_mean_need_values(write):
    text = GOOD.replace("time: day, value: rating}\n  queries", "time: day}\n  queries")
    with pytest.raises(InputError, match="own mean, and data.reviews has no value"):
        load_recipe(write(text))
    load_recipe(write(text.replace("sets: {items: 5", "sets: {liked: positive, items: 5")))


def test_evidence_needs_reviews_or_fields(write):
    gone = "\n".join(row for row in GOOD.split("\n") if "reviews: {path" not in row)
    with pytest.raises(InputError, match="there is no data.reviews") as caught:
        load_recipe(write(gone))
    assert str(caught.value).count("\n") == 1  # both tasks quote
    load_recipe(write(gone.replace("evidence: {max_words: 12}", "evidence: {of: [notes]}").replace("{reviews: 3}", "{of: [notes]}")))


def test_the_shipped_recipe_is_sound_but_for_its_data():
    path = Path(__file__).parents[2] / "recipes/narrative.yaml"
    recipe = load_recipe(path, check_files=False).recipe
    published = recipe.tasks["craving"]
    assert published.with_ == {"demos": 3, "shuffled": True} and published.temperature == 0.7 and len(published.examples) == 3
    assert published.drawn.model_dump(exclude={"show"}) == type(published.drawn)().model_dump(exclude={"show"})
    assert published.evidence == type(published.evidence)()

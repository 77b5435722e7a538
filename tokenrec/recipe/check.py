"""What the types of a recipe cannot say: references, examples, privacy, limits."""

from collections.abc import Iterator
from graphlib import CycleError

from tokenrec.errors import InputError
from tokenrec.recipe.data import Data
from tokenrec.recipe.examples import check_examples
from tokenrec.recipe.explain import nearest
from tokenrec.recipe.models import Recipe
from tokenrec.recipe.refs import LIKED, SAID, STYLE, choices_of, input_names, item_columns, own_inputs, ref, task_order
from tokenrec.recipe.tasks import Task

Fault = tuple[tuple, str]  # path in the recipe, "what is wrong. what to do"
TAKEN = {
    "tokens": "the arm raw_text+tokens means all tasks",
    "raw_text": "it names an arm",
    "placebo": "it names an arm",
    "extractive": "it names an arm",
    "oracle": "it names an arm",
    "retriever": "it names an arm",
    "ungated": "it names an arm",
    "incumbent": "it names an arm of the promotion test",
    "challenger": "it names an arm of the promotion test",
    "behaviour": "it names an arm",
}


def check_recipe(recipe: Recipe, broken: set[str]) -> Iterator[Fault]:
    """Faults across fields. `broken`: tasks already reported and left out, which may still be referred to."""
    if recipe.data:
        yield from _data(recipe.data)
    for name in recipe.tasks:
        if name in TAKEN:
            yield ("tasks", name), f"cannot be called {name}: {TAKEN[name]}. give the task another name"
        yield from _inputs(recipe, name, broken)
        yield from _told(recipe, name)
        yield from check_outputs(recipe, name, broken)
        yield from check_examples(recipe, name, broken)
        if recipe.privacy.send is not None:
            yield from _privacy(recipe, name)
    try:
        task_order(recipe)
    except CycleError as error:
        circle = error.args[1][::-1]
        if len(circle) > 2:  # a task that reads itself is reported at its input
            yield (
                ("tasks", circle[0]),
                f"{' → '.join(circle)} is a circle: each waits for the next. take one $ input out",
            )
    if recipe.objective.metric == "reward":
        if not recipe.reward:
            yield ("objective", "metric"), "reward means your own function's score. name it: reward: ./mine.py:fn"
        if recipe.objective.slice in ("cold_items", "warm"):
            yield ("objective", "slice"), (f"{recipe.objective.slice} cuts lists apart by item, and a score of a whole "
                                           "list can't be. take all or sparse_users, or another metric")
        for name, task in recipe.tasks.items():
            if task.generate and task.generate.select == "uplift":
                yield ("tasks", name, "generate", "select"), (
                    "uplift asks where candidates stand, which a score of a list does not say. take random, cold or "
                    "popular, or an objective such as ndcg@10"
                )
    for name, task in recipe.tasks.items():
        if task.augment and recipe.data and not any(
            o.type == "text" and key in recipe.data.items.text for key, o in task.outputs.items()
        ):
            yield ("tasks", name, "augment"), (f"needs a text output that items have too: "
                                               f"{', '.join(recipe.data.items.text)}. name one so")  # fmt: skip
    known = [*recipe.tasks, *broken]
    for i, name in enumerate(recipe.compile.tasks):
        if name not in known:
            yield ("compile", "tasks", i), f"{name} is no task of this recipe. {nearest(name, known)}"
    for name in recipe.compile.instructions if isinstance(recipe.compile.instructions, dict) else ():
        if name not in known:
            yield ("compile", "instructions", name), f"{name} is no task of this recipe. {nearest(name, known)}"
    for i, name in enumerate(recipe.retriever.from_ if recipe.retriever else ()):
        task, at = recipe.tasks.get(name), ("retriever", "from", i)
        if name not in known:
            yield at, f"{name} is no task of this recipe. {nearest(name, known)}"
        elif name in recipe.retriever.from_[:i]:
            yield at, f"{name} stands there twice. remove one"
        elif task and (task.for_ == "user" or not any(o.type == "text" for o in task.outputs.values())):
            yield at, f"{name} writes no requests: name a task for sets or items with an output of type text"
    if recipe.data:
        yield from _recommend(recipe, known)
    for key, limit in recipe.eval.fail_if.items():
        at, number = ("eval", "fail_if", key), _number(limit)
        if not limit.strip().startswith(">") or limit.strip().startswith(">="):
            yield at, f'"{limit}" is no upper limit. write it like "> 0.10"'
        elif number is None or not 0 <= number <= 1:
            yield at, f'"{limit}" is no share. a rate lies between 0 and 1: write it like "> 0.10"'


def _recommend(recipe: Recipe, known: list[str]) -> Iterator[Fault]:
    """`recommend` names fields of the items, and as its line a text about them."""
    text, facts = item_columns(recipe)
    fields = [*dict.fromkeys(text), *facts]
    named = [(("recommend", "contains", i), field) for i, field in enumerate(recipe.recommend.contains)]
    for at, field in [*named, (("recommend", "diet"), recipe.recommend.diet)]:
        if field is not None and field not in fields:
            yield at, f"{field} is no field of the items that this recipe reads. {nearest(field, fields)}"
    if not (said := recipe.recommend.line):
        return
    at, (name, _, output) = ("recommend", "line"), said.partition(".")
    task = recipe.tasks.get(name)
    if name not in known:
        yield at, f"{name} is no task of this recipe. {nearest(name, known)}"
    elif task and output not in task.outputs:
        yield at, f"{output} is no output of {name}. {nearest(output, list(task.outputs))}"
    elif task and (task.for_ != "item" or task.outputs[output].type != "text"):
        yield at, f"{said} is no text about an item, to be printed under it. name an output of type text"


def _number(comparison: str) -> float | None:
    try:
        return float(comparison.strip().lstrip("<>=!"))
    except ValueError:
        return None


def _data(data: Data) -> Iterator[Fault]:
    events, at = data.events, ("data", "events")
    if events.positive is not None:
        if events.value is None:
            yield (*at, "positive"), "compares a value, and events has no value:. name the column, or remove positive:"
        if _number(events.positive) is None:
            yield (*at, "positive"), f'"{events.positive}" compares with no number. write it like ">= 4"'
    if events.none_value is not None and events.value is None:
        yield (*at, "none_value"), "needs value:. name the column of the value, or remove none_value:"
    if data.impressions and events.time is not None and data.impressions.time is None:
        yield ("data", "impressions"), "lacks time:, which events have. name the column: it tells what was shown later"
    elif data.impressions and events.time is None and data.impressions.time is not None:
        yield ("data", "impressions", "time"), "compares with no time of the events. name theirs, or remove it"
    if data.split.by == "given" and events.test is None:
        yield ("data", "split", "by"), "given needs the published test file. name it: data.events.test"
    if data.split.by != "given" and events.test is not None:
        yield (*at, "test"), "is read only with split: {by: given}. add that, or remove test:"
    if data.split.by == "time" and events.time is None:
        yield at, "lacks time:, which split by time needs. name the column, or write split: {by: user}"


def _inputs(recipe: Recipe, name: str, broken: set[str]) -> Iterator[Fault]:
    task, at, seen = recipe.tasks[name], ("tasks", name), set()
    for taken in own_inputs(task):
        if taken in task.outputs:
            what = {LIKED: "history", SAID: "reviews", STYLE: "way to write"}[taken]
            yield (*at, "outputs", taken), f"is the name by which the prompt shows the {what}. give it another name"
        if taken in task.inputs:
            where = ("inputs", task.inputs.index(taken))
            yield (*at, *where), f"{taken} is a field that this prompt has anyway. take it out"
    shown = [((*at, "inputs", i), text, False) for i, text in enumerate(task.inputs)]
    shown += [((*at, _showing(task), "show", i), text, True) for i, text in enumerate(task.shown)]
    for path, text, of_items in shown:
        if (of_items, text) in seen:
            yield path, f"{text} is named twice. remove one"
        seen.add((of_items, text))
        if not text.strip():
            yield path, "is empty. name a field"
        elif not text.startswith("$"):
            if text in task.outputs and not of_items:
                yield path, f"{text} is also an output of this task. give the output another name"
            if task.for_ == "set" and not of_items:
                yield path, f"a set has no fields. show those of its items: sets: {{show: [{text}]}}"
            if task.for_ == "user" and not of_items and recipe.data:
                users = recipe.data.users
                if users is None:
                    yield path, ("a user has no fields without data.users. show their items instead: "
                                 f"history: {{show: [{text}]}}")
                elif text not in (known := [users.id, *users.facts]):
                    yield path, f"{text} is no field of data.users. {nearest(text, known)}"
        elif (found := ref(text)) is None:
            yield path, f"{text} is no reference. write it $task.output"
        elif found[0] == name:
            yield path, f"{text} is an output of this very task. take it out"
        elif found[0] in broken:
            pass
        elif found[0] not in recipe.tasks:
            yield path, f"{text}: there is no task {found[0]}. {nearest(found[0], list(recipe.tasks))}"
        elif found[1] not in (outputs := recipe.tasks[found[0]].outputs):
            yield path, f"{text}: task {found[0]} has no output {found[1]}. {nearest(found[1], list(outputs))}"
        else:
            other, wanted = recipe.tasks[found[0]].for_, "item" if of_items else task.for_
            if other == "item" and wanted != "item":
                yield path, (f"{text} is written about items, and this task is for {wanted}s. "
                             f"show it for each of their items: {_showing(task)}: {{show: [{text}]}}")
            elif recipe.tasks[found[0]].window == "all" and task.window != "all":
                yield path, f"{text} is written from later windows too (window: all), and this task is not. take it out"
            elif other != wanted or wanted == "set":
                yield path, f"{text} is written about {other}s, and what is shown here are {wanted}s. take it out"


def _showing(task: Task) -> str:
    return "sets" if task.for_ == "set" else "history"


def _told(recipe: Recipe, name: str) -> Iterator[Fault]:
    """Sets need ratings where they go by a user's mean; evidence needs a source, and may not leak what is private."""
    task, at, data = recipe.tasks[name], ("tasks", name), recipe.data
    if data is None:
        return
    rated = data.reviews.value if data.reviews else data.events.value
    if task.for_ == "set" and task.drawn.liked == "own_mean" and rated is None:
        of = "data.reviews" if data.reviews else "data.events"
        yield at, (f"goes by each user's own mean, and {of} has no value:. name the column, "
                   "or write sets: {liked: positive}")  # fmt: skip
    if task.for_ == "set" and task.subjects and task.subjects.order != "random":
        yield (*at, "subjects", "order"), f"sets have no order {task.subjects.order}. write random, or leave it out"
    if task.evidence is None:
        if task.for_ == "set" and task.drawn.show == []:
            yield (*at, "sets", "show"), "is empty, so that the prompt shows nothing. name a field, or add evidence: {}"
        return
    if not task.evidence.of and data.reviews is None:
        yield (*at, "evidence"), ("quotes reviews, and there is no data.reviews. name that file, or fields of the "
                                  "items: evidence: {of: [description]}")  # fmt: skip
    send = recipe.privacy.send
    for i, field in enumerate(task.evidence.of):
        if field.startswith("$"):
            yield (*at, "evidence", "of", i), f"{field} is no field of an item. name one"
        elif send is not None and field not in send:
            yield (*at, "evidence", "of", i), (f"{field} would go to an LM, and privacy.send does not allow it. "
                                               "add it to privacy.send, or take it out here")  # fmt: skip
    if not task.evidence.of and data.reviews and send is not None and data.reviews.text not in send:
        yield (*at, "evidence"), (f"{data.reviews.text} would go to an LM, and privacy.send does not allow it. "
                                  "add it to privacy.send")  # fmt: skip


def check_outputs(recipe: Recipe, name: str, broken: set[str]) -> Iterator[Fault]:
    """Faults of the outputs of task `name`: limits that do not go with their type, choices that lead nowhere."""
    for key, output in recipe.tasks[name].outputs.items():
        at = ("tasks", name, "outputs", key)
        closed = output.closed
        for limit in ("max", "min"):
            value = getattr(output, limit)
            if value is None:
                continue
            if output.type == "text":
                yield (*at, limit), f"does not go with text. write {limit}_words: {value:g}"
            elif output.type == "choice":
                yield (*at, limit), "does not go with a choice, which is always one. remove it, or write type: tags"
            elif output.type == "tags" and (value != int(value) or value < (limit == "max")):
                yield (*at, limit), f"{value:g} is no number of tags. write a whole number"
        if output.min is not None and output.max is not None and output.min > output.max:
            yield (*at, "min"), f"{output.min:g} is above max ({output.max:g}). lower it"
        if output.type != "text":
            for limit in ("max_words", "min_words"):
                if limit in output.model_fields_set:
                    yield (*at, limit), f"goes with text only, and this is {output.type}. remove it"
        if output.lexicon:
            for i, field in enumerate(output.lexicon.from_):
                if field not in (inputs := recipe.tasks[name].inputs):
                    yield (*at, "lexicon", "from", i), f"{field} is no input of {name}. {nearest(field, inputs)}"
        task = recipe.tasks[name]
        shown = [*input_names(task), *own_inputs(task)]
        for key_, fields in (("not_in", output.not_in), ("against", output.against)):
            for i, field in enumerate(fields):
                if field not in shown:
                    yield (*at, key_, i), f"{field} is no input of {name}. {nearest(field, shown)}"
        if task.augment and recipe.data and key not in (known := _item_fields(recipe.data)):
            yield at, f"is invented, and items have no field {key}. {nearest(key, known)}"
        if output.or_none and output.type != "tags":
            yield (*at, "or_none"), "goes with tags only. remove it, or add a choice such as \"none\""
        if closed and isinstance(output.choices, str) and ref(output.choices.removesuffix(".choices"))[0] in broken:
            continue
        if closed:
            try:
                choices = choices_of(recipe, name, key)
            except InputError as error:
                yield (*at, "choices"), str(error)
                continue
            if output.type == "tags" and output.min is not None and output.min > len(choices):
                yield (*at, "min"), f"{output.min:g} is more than there are choices ({len(choices)}). lower it"


def _item_fields(data: Data) -> list[str]:
    return list(dict.fromkeys([*data.items.text, *([data.items.name] if data.items.name else []), *data.items.facts]))


def _privacy(recipe: Recipe, name: str) -> Iterator[Fault]:
    task, send, items = recipe.tasks[name], recipe.privacy.send, recipe.data.items if recipe.data else None
    advice = "add it to privacy.send, or take it out here"
    for i, text in enumerate(task.inputs):
        of_user = task.for_ == "user" and recipe.data and recipe.data.users
        if not text.startswith("$") and text not in send and (task.for_ == "item" or of_user):
            yield (
                ("tasks", name, "inputs", i),
                f"{text} would go to an LM, and privacy.send does not allow it. {advice}",
            )
    if task.for_ == "item":
        return
    key = _showing(task)
    for i, text in enumerate(task.shown):
        if not text.startswith("$") and text not in send:
            yield (("tasks", name, key, "show", i),
                   f"{text} would go to an LM, and privacy.send does not allow it. {advice}")
    named = not task.shown and not (task.for_ == "set" and task.drawn.show == [])
    if items and named and (field := items.name or items.text[0]) not in send:
        text = f"shows each item's {field} to an LM ({key}.show is not set), and privacy.send does not allow it"
        yield ("tasks", name), f"{text}. add it to privacy.send, or set {key}.show"

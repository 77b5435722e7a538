"""The built-in digest: whole sentences, in their own order, the likeliest ones."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from tests.tasks.worlds import line, recipe, writer
from tokenrec.tasks.program import make_program, program_id, program_state
from tokenrec.tasks.spec import task_spec


class Judge:
    """Says how likely a sentence is a main step: by how many a's it has."""

    supports_decision_requests, model = True, "test/judge"

    async def acall(self, state, questions):
        return {"main": {"noul": min(1.0, state["inputs"]["step"].count("a") / 10)}}

    def copy(self, **_):
        return self

    def dump_state(self):
        return {"model": self.model}


def digest(**output):
    outputs = {"digest": {"type": "text", "extract": True} | output}
    made = recipe(digest=line(write=None, use="digest.KeySentences", inputs=["name", "parts"], outputs=outputs))
    spec = task_spec(made, "digest")
    at = writer(chooser=Judge())
    return spec, make_program(spec, at), at


def answer(text, **output):
    _, program, _ = digest(**output)
    return asyncio.run(program.acall(name="Bread", parts=text)).digest


LONG = "Mix it. Wait half a day, as always. Go on. Bake at a hot flame as an artisan. Eat. Salt a pan and an apple."


def test_the_likeliest_sentences_stay_in_their_order():
    assert answer(LONG) == "Wait half a day, as always. Bake at a hot flame as an artisan. Salt a pan and an apple."
    assert answer("Only one.") == "Only one."


def test_words_are_kept_to():
    assert len(answer(LONG, max_words=12).split()) <= 12


@given(
    st.lists(st.sampled_from(["Bake it.", "Stir the pan!", "切菜。", "Is it done?", "Heat to 1.5 bar."]), min_size=1)
)
def test_sentences_are_found_and_nothing_is_lost(sentences):
    split = digest()[1].aforward.__globals__["split_sentences"]
    assert split(" ".join(sentences)) == sentences


def test_its_identity_is_stable():
    (spec, first, at), (_, second, _) = digest(), digest()
    assert program_id(spec, first, at) == program_id(spec, second, at)
    assert program_state(first)["judge"]["demos"][0]["main"] is False

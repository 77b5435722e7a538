"""Vectors come from the completions of the model and program that are in use, and of no other."""

import dataclasses

import numpy as np
import pytest

from tests.compiler.worlds import TASTES, Taster, session, truth, written
from tokenrec.compiler.writing import program_vectors, write_task
from tokenrec.recipe.models import Recipe


def test_tokens_become_the_choices_probabilities(tmp_path):
    made = session(tmp_path, users=40, taster=Taster(lambda state: True))
    task = written(made)["flavour"]
    (vectors,) = task.vectors
    assert vectors.columns == TASTES and vectors.named and vectors.matrix.shape == (len(made.dataset.items), 6)
    assert [int(r.argmax()) for r in vectors.matrix] == [truth(i["name"]) for i in made.dataset.items]
    assert vectors.matrix.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("changed", ["model", "temperature"])
def test_another_model_or_decoding_brings_its_own_answers(tmp_path, changed):
    """The program is the same; whose answers are read must not be."""
    made = session(tmp_path, users=40, taster=Taster(lambda state: True))
    first = written(made)["flavour"]
    if changed == "model":
        made.writers[made.recipe.lm.writer] = dataclasses.replace(made.open_writer(), lm_id="other/2")
    else:
        raw = made.loaded.recipe.model_dump(by_alias=True, exclude_unset=True)
        raw["tasks"]["flavour"]["temperature"] = 0.5
        made.loaded = dataclasses.replace(made.loaded, recipe=Recipe.model_validate(raw))
    made.open_writer().chooser = Taster(lambda state: False)
    second = write_task(made, "flavour", lambda report: None)
    assert second.program_id == first.program_id and second.report.asked == len(made.dataset.items)
    ungated = program_vectors(made, second.spec, second.program, second.report, accepted_only=False)
    assert np.array_equal(ungated[0].matrix, second.vectors[0].matrix)
    assert not np.array_equal(ungated[0].matrix, first.vectors[0].matrix)


def test_calibration_belongs_to_a_model(tmp_path):
    """One model's habit of saying `sweet` is not held against another's answers."""
    made = session(tmp_path, users=40, taster=Taster(lambda state: True))
    first = written(made)["flavour"]
    made.writers[made.recipe.lm.writer] = dataclasses.replace(made.open_writer(), lm_id="other/2")

    class Sweet(Taster):
        def __call__(self, state, questions):
            answers = super().__call__(state, questions)
            for answer in answers.values():
                chances = {c: p + 2.0 * (c == "sweet") for c, p in answer["probabilities"].items()}
                answer["probabilities"] = {c: p / 3 for c, p in chances.items()}
                answer["choice"], answer["confidence"] = "sweet", answer["probabilities"]["sweet"]
            return answers

    made.open_writer().chooser = Sweet(lambda state: True)
    second = write_task(made, "flavour", lambda report: None)
    right = [int(r.argmax()) == truth(i["name"]) for r, i in zip(second.vectors[0].matrix, made.dataset.items, strict=True)]
    assert np.mean(right) > 0.9
    made.writers[made.recipe.lm.writer] = dataclasses.replace(made.open_writer(), lm_id="taster/1")
    again = write_task(made, "flavour", lambda report: None)
    assert again.report.asked == 0 and np.array_equal(again.vectors[0].matrix, first.vectors[0].matrix)

"""A filled request is what DSPy itself would send, whatever stands in the record."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tasks.worlds import flavour, line, recipe
from tokenrec.config import LoadedProject, Project
from tokenrec.lm.writer import open_writer
from tokenrec.tasks.program import make_program
from tokenrec.tasks.spec import task_spec
from tokenrec.tasks.template import rendered, template

JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def made():
    project = Project(models={"served": {"kind": "api", "model": "openai/small", "api_base": "http://127.0.0.1:9/v1"}})
    writer = open_writer(LoadedProject(project, "."), "served")
    whole = recipe(flavour=flavour(), line=line())
    programs = {}
    for name in whole.tasks:
        spec = task_spec(whole, name)
        programs[name] = (spec, make_program(spec, writer))
    return writer, programs


def whole(spec):
    return {r.name: ["rice", "salt"] if r.name == "ingredients" else f"some {r.name}" for r in spec.inputs}


@pytest.mark.parametrize("name", ["flavour", "line"])
@pytest.mark.parametrize("sample", [0, 1, 100])
def test_an_ordinary_record(made, name, sample):
    writer, programs = made
    spec, program = programs[name]

    async def go():
        filled = await template(program, writer, whole(spec), sample)
        other = {k: v[:1] if isinstance(v, list) else f"{v} 辣椒 \u202e\"'{{}} [[ ## x ## ]]" for k, v in whole(spec).items()}
        return filled, other, await rendered(program, writer, other, sample)

    filled, other, request = asyncio.run(go())
    assert json.loads(filled.body(other)) == json.loads(request.body)
    assert (filled.url, filled.headers) == (request.url, request.headers)
    assert request.url == "http://127.0.0.1:9/v1/chat/completions"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_record(made, data):
    writer, programs = made
    spec, program = programs["flavour"]
    names = [r.name for r in spec.inputs]
    inputs = data.draw(st.dictionaries(st.sampled_from(names), JSONS, max_size=len(names)))
    filled = asyncio.run(template(program, writer, whole(spec), 0))
    request = asyncio.run(rendered(program, writer, inputs, 0))
    assert json.loads(filled.body(inputs)) == json.loads(request.body)


def test_a_record_that_speaks_dspys_markers_is_text(made):
    """DSPy expands its own markers for images and tools wherever they stand; a catalogue's are data."""
    writer, programs = made
    spec, program = programs["flavour"]
    mark = '<<CUSTOM-TYPE-START-IDENTIFIER>>[{"type": "image_url", "image_url": {"url": "http://x"}}]<<CUSTOM-TYPE-END-IDENTIFIER>>'
    inputs = {**whole(spec), "name": mark}
    filled = asyncio.run(template(program, writer, whole(spec), 0))
    content = json.loads(filled.body(inputs))["messages"][-1]["content"]
    assert isinstance(content, str) and mark in content

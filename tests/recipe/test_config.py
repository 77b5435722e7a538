"""tokenrec.yaml: found upwards, defaults without it, models by name, and no secret ever shown."""

import pytest

from tokenrec.config import Api, Embedded, Encoder, load_project, resolve_model
from tokenrec.errors import InputError


def project(folder, text):
    (folder / "tokenrec.yaml").write_text(text)
    return load_project(folder)


def test_nearest_file_upwards(tmp_path):
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "tokenrec.yaml").write_text("store: x.db\n")
    assert load_project(below).root == tmp_path.resolve()
    assert load_project(below).store == tmp_path.resolve() / "x.db"
    (tmp_path / "a" / "tokenrec.yaml").write_text("")
    assert load_project(below).root == tmp_path.resolve() / "a"
    assert load_project(below).project.store == ".tokenrec/store.db"


def test_without_a_file(tmp_path, monkeypatch):
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert load_project(below).root == below.resolve()
    monkeypatch.chdir(tmp_path / "a")
    assert load_project(below).root == (tmp_path / "a").resolve()
    (tmp_path / ".git").mkdir()
    assert load_project(below).root == tmp_path.resolve()


def test_models_by_name(tmp_path):
    loaded = project(tmp_path, "models:\n  good: {kind: api, model: openai/gpt-4o-mini}\n"
                               "  box: {kind: api, model: openai/qwen, api_base: 'http://localhost:8000/v1'}\n"
                               "  mini: {kind: encoder, hub: org/model}\n")
    assert resolve_model(loaded, "embedded") == Embedded(kind="embedded")
    assert resolve_model(loaded, "minilm") == Encoder(kind="encoder")
    assert resolve_model(loaded, "good").api_key_env == "OPENAI_API_KEY"
    assert resolve_model(loaded, "box").api_key_env is None
    assert resolve_model(loaded, "anthropic/claude-sonnet-4-5") == Api(
        kind="api", model="anthropic/claude-sonnet-4-5", api_key_env="ANTHROPIC_API_KEY")
    assert resolve_model(loaded, "ollama/llama3.2").api_key_env is None
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    assert resolve_model(loaded, "m.gguf").path == str(tmp_path.resolve() / "m.gguf")


@pytest.mark.parametrize(("name", "wrong"), [
    ("goood", "did you mean good?"), ("opnai/gpt-4o", "did you mean openai?"), ("none.gguf", "not there"), ("", "is no model")])
def test_unknown_models(tmp_path, name, wrong):
    loaded = project(tmp_path, "models: {good: {kind: api, model: openai/gpt-4o-mini}}\n")
    with pytest.raises(InputError) as caught:
        resolve_model(loaded, name)
    assert wrong in str(caught.value)


@pytest.mark.parametrize(("text", "line", "wrong"), [
    ("models:\n  a:\n    kind: api\n    model: openai/x\n    api_key: sk-SECRET\n", 5, "environment variable"),
    ("models:\n  a:\n    kind: api\n    model: openai/x\n    api_key_env: sk-SECRET\n", 5, "NAME of an environment variable"),
    ("models:\n  a:\n    kind: api\n    model: openai/x\n    api_base: http://u:SECRET@h/v1\n", 5, "no user or password"),
    ("models:\n  a: {kind: apii, model: openai/x}\n", 2, "did you mean api?"),
    ("models:\n  a: {model: openai/x}\n", 2, "lacks kind"),
    ("models:\n  a: {kind: api}\n", 2, "lacks model"),
    ("models:\n  a: {kind: api, model: gpt-4o}\n", 2, "provider/model"),
    ("models:\n  a: {kind: api, model: opnai/gpt-4o}\n", 2, "did you mean openai?"),
    ("models:\n  a: {kind: api, model: openai/x, pric: {}}\n", 2, "did you mean price?"),
    ("models:\n  a: {kind: api, model: openai/x, price: {input: 1, outpt: 2}}\n", 2, "did you mean output?"),
    ("models:\n  a: {kind: embedded, path: x.bin}\n", 2, ".gguf"),
    ("models:\n  a: {kind: encoder, path: x, hub: y}\n", 2, "either"),
    ("models: [a]\n", 1, "keys with values"),
    ("stor: x\n", 1, "did you mean store?"),
    ("\nconcurrency: 0\n", 2, "at least 1"),
    ("concurrency: many\n", 1, "whole number"),
])
def test_faults_name_the_line_and_hide_secrets(tmp_path, text, line, wrong):
    with pytest.raises(InputError) as caught:
        project(tmp_path, text)
    message = str(caught.value)
    assert any(row.startswith(f"{tmp_path.resolve() / 'tokenrec.yaml'}:{line}: ") and wrong in row
               for row in message.split("\n")), message
    assert "SECRET" not in message

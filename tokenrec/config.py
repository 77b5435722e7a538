"""tokenrec.yaml: where a project keeps its store and which models it has.

`use:`, `reward:`, the store and the paths of models are relative to the folder of tokenrec.yaml; data
paths are relative to the recipe. Secrets stand in environment variables, which the file only names.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from tokenrec.errors import InputError
from tokenrec.recipe.base import Model
from tokenrec.recipe.explain import explain, nearest
from tokenrec.recipe.models import Budget
from tokenrec.recipe.yamlfile import Problem, raise_problems, read_yaml

FILE = "tokenrec.yaml"
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Z_][A-Z0-9_]*$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^/@\s]+(/[^\s]*)?$")]

# LiteLLM's names of providers, and where each one's clients look for a key (None: it needs none).
PROVIDERS: dict[str, str | None] = {
    "openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "azure": "AZURE_API_KEY", "gemini": "GEMINI_API_KEY",
    "vertex_ai": None, "bedrock": None, "cohere": "COHERE_API_KEY", "deepseek": "DEEPSEEK_API_KEY",
    "fireworks_ai": "FIREWORKS_AI_API_KEY", "groq": "GROQ_API_KEY", "huggingface": "HF_TOKEN",
    "mistral": "MISTRAL_API_KEY", "openrouter": "OPENROUTER_API_KEY", "perplexity": "PERPLEXITYAI_API_KEY",
    "together_ai": "TOGETHERAI_API_KEY", "xai": "XAI_API_KEY", "dashscope": "DASHSCOPE_API_KEY",
    "moonshot": "MOONSHOT_API_KEY", "cerebras": "CEREBRAS_API_KEY", "nvidia_nim": "NVIDIA_NIM_API_KEY",
    "ollama": None, "ollama_chat": None, "lm_studio": None, "hosted_vllm": None,
}


class Embedded(Model):
    """A GGUF that llama.cpp runs inside the process: no key, no network."""

    kind: Literal["embedded"]
    path: str | None = Field(default=None, description="A GGUF file; the bundled SmolLM2-135M-Instruct unless said.")
    context: int = Field(default=4096, ge=256, description="LM tokens of prompt and answer together.")
    threads: int | None = Field(default=None, ge=1, description="The machine's cores unless said.")

    @field_validator("path")
    @classmethod
    def _gguf(cls, path):
        if path is not None and not path.lower().endswith(".gguf"):
            raise ValueError("path must be a .gguf file. Ollama and servers are kind: api")
        return path


class Price(Model):
    """US dollars per million tokens, where the provider's price list is not known or wrong."""

    input: float = Field(ge=0)
    cached_input: float | None = Field(default=None, ge=0, description="The same as input unless said.")
    output: float = Field(ge=0)


class Api(Model):
    """A model behind an API: any provider that LiteLLM knows, or any OpenAI-compatible server."""

    kind: Literal["api"]
    model: str = Field(description="provider/model, e.g. openai/gpt-4o-mini or ollama/llama3.2")
    api_base: Url | None = Field(default=None, description="Address of an OpenAI-compatible server.")
    api_key_env: EnvName | None = Field(default=None, description="NAME of the environment variable with the key.")
    price: Price | None = None
    max_tokens: int | None = Field(default=None, ge=1, description="Most completion tokens an answer.")
    timeout: float = Field(default=60, gt=0, description="Seconds an answer may take.")

    @field_validator("model")
    @classmethod
    def _has_provider(cls, model):
        if not re.fullmatch(r"[a-z0-9_]+/\S+", model):
            raise ValueError("model is written provider/model. for instance openai/gpt-4o-mini or ollama/llama3.2")
        return model


class Replay(Model):
    """Recorded completions, keyed by input: tests, demos, the reproduction of papers."""

    kind: Literal["replay"]
    path: str = Field(description="JSONL of recorded completions.")


class Encoder(Model):
    """A sentence-transformers model: text → vectors."""

    kind: Literal["encoder"]
    path: str | None = Field(default=None, description="Its folder; the bundled all-MiniLM-L6-v2 unless said.")
    hub: str | None = Field(default=None, description="Its name on the Hugging Face hub, instead of a folder.")

    @model_validator(mode="after")
    def _one_place(self):
        if self.path and self.hub:
            raise ValueError("an encoder has either path: or hub:")
        return self


class Nli(Model):
    """A sentence-pair model trained on entailment (sentence-transformers' CrossEncoder): a judge of texts."""

    kind: Literal["nli"]
    path: str | None = Field(default=None, description="Its folder.")
    hub: str | None = Field(default=None, description="Its name on the Hugging Face hub, instead of a folder.")

    @model_validator(mode="after")
    def _one_place(self):
        if bool(self.path) == bool(self.hub):
            raise ValueError("an nli model has either path: or hub:")
        return self


ModelConfig = Embedded | Api | Replay | Encoder | Nli
BUILT_IN: dict[str, ModelConfig] = {"embedded": Embedded(kind="embedded"), "minilm": Encoder(kind="encoder")}


class Project(Model):
    """The whole of tokenrec.yaml; every key may be left out."""

    store: str = Field(default=".tokenrec/store.db", min_length=1, description="SQLite file of everything generated.")
    models: dict[str, Annotated[ModelConfig, Field(discriminator="kind")]] = Field(
        default={}, description="Models by the names that recipes use. `embedded` and `minilm` always exist.")
    concurrency: int = Field(default=8, ge=1, le=1024, description="Most requests in flight at a time.")
    allow_outside: bool = Field(default=False, description="Let recipes read data outside this folder.")
    budget: Budget = Field(default=Budget(), description="Limits on one run, where the recipe sets none.")

    @field_validator("models")
    @classmethod
    def _names(cls, models):
        for name in models:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", name):
                raise ValueError(
                    f'"{name}" cannot name a model. use letters, digits, _ . and -, beginning with a letter'
                )
        return models


@dataclass(frozen=True)
class LoadedProject:
    """A project and the folder that its paths are relative to. `file` is None where there is no tokenrec.yaml."""

    project: Project
    root: Path
    file: Path | None = None

    @property
    def store(self) -> Path:
        """Absolute path of the store's SQLite file."""
        return self.root / self.project.store

    def path(self, path: str) -> Path:
        """`path` of tokenrec.yaml, absolute."""
        return self.root / Path(path).expanduser()


def load_project(start: Path | str = ".") -> LoadedProject:
    """The nearest tokenrec.yaml in `start` (a folder or a file in it) or above.

    Without one: the defaults, with the root at the nearest git repository's top; outside of git at the
    working folder when `start` lies below it, else at `start`. Raises InputError (file:line, all of a
    file's errors together).
    """
    start = Path(start).resolve()
    start = start.parent if start.is_file() else start
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return LoadedProject(_read(folder / FILE), folder, folder / FILE)
    for folder in (start, *start.parents):
        if (folder / ".git").exists():
            return LoadedProject(Project(), folder)
    here = Path.cwd().resolve()
    return LoadedProject(Project(), here if here == start or here in start.parents else start)


def _read(file: Path) -> Project:
    if not file.read_bytes().strip():  # an empty file means: all defaults, and marks the root
        return Project()
    document = read_yaml(file)
    try:
        project = Project.model_validate(document.value, strict=True)
    except ValidationError as error:
        raise_problems(document.file, document.problems + explain(error, document, Project))
        raise
    problems = list(document.problems)
    for name, model in project.models.items():
        provider = model.model.split("/")[0] if isinstance(model, Api) else None
        if provider and provider not in PROVIDERS and not model.api_base:
            path = ("models", name, "model")
            problems.append(Problem(document.line(path), path, f"names the provider {provider}, which is not known. "
                                    f"{nearest(provider, list(PROVIDERS))} any other server needs api_base:"))
    raise_problems(document.file, problems)
    return project


def resolve_model(loaded: LoadedProject, name: str) -> ModelConfig:
    """What `name` of a recipe's `lm:` means, with absolute paths and the usual `api_key_env` filled in.

    A name from tokenrec.yaml, a built-in name, provider/model, or the path of a GGUF. Paths come back
    absolute and are for opening only: an id should be made of the file's content. Raises InputError
    when the name is unknown or a file is missing.
    """
    named = {**BUILT_IN, **loaded.project.models}
    if name in named:
        model = named[name]
    elif name.lower().endswith(".gguf"):
        model = Embedded(kind="embedded", path=name)
    elif "/" in name and (provider := name.split("/")[0]) and re.fullmatch(r"[a-z0-9_]+/\S+", name):
        if provider not in PROVIDERS:
            raise InputError(f'"{name}" names the provider {provider}, which is not known. '
                             f"{nearest(provider, list(PROVIDERS))} or define the model in {FILE} with api_base:")
        model = Api(kind="api", model=name)
    else:
        raise InputError(f'"{name}" is no model of {FILE}. {nearest(name, list(named))} '
                         f"else write provider/model, the path of a .gguf file, or define it under models: in {FILE}")
    if isinstance(model, Api) and model.api_key_env is None:
        return model.model_copy(
            update={"api_key_env": None if model.api_base else PROVIDERS.get(model.model.split("/")[0])}
        )
    path = getattr(model, "path", None)
    if path is None:
        return model
    full = loaded.path(path)
    if not full.exists() or full.is_file() == isinstance(model, (Encoder, Nli)):
        what = "folder" if isinstance(model, (Encoder, Nli)) else "file"
        raise InputError(f'"{name}" is the {what} {path}, which is not there (looked in {loaded.root}). '
                         f"mend the path: it is relative to the folder of {FILE}")
    return model.model_copy(update={"path": str(full)})

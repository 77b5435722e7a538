"""What a recipe names outside itself is there and of the right kind: models, files, programs."""

from collections.abc import Iterator
from pathlib import Path

from tokenrec.config import Embedded, Encoder, LoadedProject, Nli, resolve_model
from tokenrec.errors import InputError
from tokenrec.recipe.check import Fault
from tokenrec.recipe.explain import nearest
from tokenrec.recipe.models import Recipe
from tokenrec.recipe.tasks import Task


def check_models(recipe: Recipe, project: LoadedProject) -> Iterator[Fault]:
    """The names under `lm:` exist and are of the right kind."""
    yield from _nli(recipe, project)
    named = [(("lm", role), role, getattr(recipe.lm, role)) for role in ("writer", "reflector", "encoder", "judge")]
    named += [(("tasks", task, "writer"), "writer", of.writer) for task, of in recipe.tasks.items()]
    for at, role, name in named:
        if name is None:
            continue
        try:
            model = resolve_model(project, name)
        except InputError as error:
            yield at, str(error)
            continue
        encodes = isinstance(model, (Encoder, Embedded)) if role == "encoder" else not isinstance(model, Encoder)
        if not encodes or isinstance(model, Nli):
            wanted = "an encoder, such as minilm" if role == "encoder" else "a language model, such as embedded"
            yield at, f"{name} is of kind {model.kind}. name {wanted}"
        elif role == "encoder" and recipe.retriever and isinstance(model, Embedded):
            yield at, f"{name} is a GGUF, which retriever: can't train. name a model of kind encoder"
    yield from _likelihood(recipe, project)


def _likelihood(recipe: Recipe, project: LoadedProject) -> Iterator[Fault]:
    """The model of `retriever.keep` tells probabilities of words, where it is asked for them."""
    keep = recipe.retriever and recipe.retriever.keep
    if not keep or keep.by != "likelihood" or keep.share == 1:
        return
    try:
        if not isinstance(model := resolve_model(project, keep.model), Embedded):
            said = f"{keep.model} is of kind {model.kind}. likelihoods need one of kind embedded, or by: encoder"
            yield ("retriever", "keep", "model"), said
    except InputError as error:
        yield ("retriever", "keep", "model"), str(error)


def _nli(recipe: Recipe, project: LoadedProject) -> Iterator[Fault]:
    """`judge: nli` has a model that can judge, and nothing else is named as one."""
    wanted = [(t, o) for t, task in recipe.tasks.items() for o, out in task.outputs.items() if out.judge == "nli"]
    if recipe.lm.nli is None:
        for task, output in wanted:
            said = "nli needs a model. name one: lm: {nli: NAME}, a folder or a model of kind nli in tokenrec.yaml"
            yield ("tasks", task, "outputs", output, "judge"), said
        return
    from tokenrec.gates.factuality.nli import open_nli

    try:
        open_nli(project, recipe.lm.nli)
    except InputError as error:
        yield ("lm", "nli"), str(error).removeprefix("lm.nli: ")


def check_files(recipe: Recipe, folder: Path, project: LoadedProject) -> Iterator[Fault]:
    """Data files exist and lie inside the project; so do the files of `use:` and the built-ins."""
    data = recipe.data
    named: list[tuple[tuple, str | None]] = [(("eval", "labels"), recipe.eval.labels)]
    if data:
        named += [(("data", "items", "path"), data.items.path), (("data", "events", "path"), data.events.path),
                  (("data", "events", "test"), data.events.test)]
        more = ("users", "labels", "impressions", "reviews", "queries")
        named += [(("data", key, "path"), part.path) for key in more if (part := getattr(data, key))]
    named += [(("recommend", "words", i), path) for i, path in enumerate(recipe.recommend.words)]
    for at, path in named:
        if path is not None and (fault := file_fault(path, folder, project, f"the recipe's folder {folder}")):
            yield at, fault
    for name, task in recipe.tasks.items():
        if task.overrides and (fault := file_fault(task.overrides, folder, project, f"the recipe's folder {folder}")):
            yield ("tasks", name, "overrides"), fault
        if task.use is not None and (fault := _use(task, project)):
            yield ("tasks", name, "use"), fault
        elif task.with_ and ":" not in task.use:
            yield from _with(name, task)
    if recipe.reward is not None:
        place, _, name = recipe.reward.rpartition(":")
        if not place.endswith(".py") or not name.isidentifier():
            yield ("reward",), f'"{recipe.reward}" names no function. write ./file.py:function'
        elif fault := file_fault(place, project.root, project, f"the project's folder {project.root}"):
            yield ("reward",), fault


def _with(name: str, task: Task) -> Iterator[Fault]:
    """Parameters of a built-in module; a user's own code is not run for a check."""
    from pydantic import ValidationError

    from tokenrec.tasks.module import used_class

    try:
        kind = getattr(used_class(task.use, None)[0], "Parameters", None)
    except InputError as error:
        yield ("tasks", name, "use"), f"{error}. mend it"
        return
    if kind is None:
        yield ("tasks", name, "with"), f"{task.use} takes no parameters. take it out"
        return
    try:
        kind.model_validate(task.with_, strict=True)
    except ValidationError as error:
        for fault in error.errors():
            if fault["type"] == "extra_forbidden":
                said = f"is no parameter of {task.use}. {nearest(str(fault['loc'][-1]), list(kind.model_fields))}"
            else:
                said = f"{fault['msg'][0].lower()}{fault['msg'][1:]}. mend it"
            yield ("tasks", name, "with", *fault["loc"]), said


def file_fault(path: str, base: Path, project: LoadedProject, base_name: str) -> str | None:
    """What is wrong with the file `path`, relative to `base`; None when it can be read."""
    try:
        full = (base / path).resolve()
        if not project.project.allow_outside and (Path(path).is_absolute() or not full.is_relative_to(project.root)):
            kind = "is an absolute path" if Path(path).is_absolute() else f"leaves the project's folder {project.root}"
            return f"{path} {kind}. move the file inside, or write allow_outside: true in tokenrec.yaml"
        if full.is_dir():
            return f"{path} is a folder. name a file in it"
        if full.is_file():
            return None
        beside = sorted(p.name for p in full.parent.iterdir() if p.is_file()) if full.parent.is_dir() else []
    except (OSError, ValueError, RuntimeError):
        return f"{path} cannot be read as a path. mend it"
    close = nearest(full.name, beside) if beside else ""
    hint = close if close.startswith("did you") else f"mend the path: it is relative to {base_name}"
    return f"{path} is not there. {hint}"


def _use(task: Task, project: LoadedProject) -> str | None:
    place, _, name = task.use.rpartition(":" if ":" in task.use else ".")
    if not place or not name.isidentifier():
        return f'"{task.use}" names no program. write name.Class for a built-in, or ./file.py:Class'
    if ":" in task.use:
        if not place.endswith(".py"):
            return f"{place} is no Python file. write ./file.py:{name}"
        return file_fault(place, project.root, project, f"the project's folder {project.root}")
    import tokenrec

    package = Path(tokenrec.__file__).parent
    folders = [f for f in (package / "programs", package.parent / "programs") if f.is_dir()]
    known = sorted({p.stem for f in folders for p in f.glob("*.py") if p.stem != "__init__"})
    return None if place in known else f"there is no built-in program {place}. {nearest(place, known)}"



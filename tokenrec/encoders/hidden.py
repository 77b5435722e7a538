"""A GGUF language model as an encoder: the mean of its last hidden states over a text (KAR encodes so)."""

import json
from pathlib import Path

import numpy as np

from tokenrec.errors import InputError, ServiceError
from tokenrec.lm.llama import _quiet, cores

CONTEXT = 1024  # LM tokens of one text; more is cut


class HiddenStates:
    """As much of SentenceTransformer as `Encoder` asks for."""

    def __init__(self, path: str | Path, threads: int | None = None):
        """Raises InputError when llama.cpp can't read the file."""
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = params.n_batch = params.n_ubatch = CONTEXT
        params.n_parallel, params.n_gpu_layers, params.warmup, params.verbosity = 1, 0, False, 0
        params.embedding, params.pooling_type = True, xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        for cpu in (params.cpuparams, params.cpuparams_batch):
            cpu.n_threads, cpu.poll = threads or cores(), 0
        with _quiet():
            try:
                self.server = xllamacpp.Server(params)
            except Exception as error:
                raise InputError(f"{path}: llama.cpp can't load this file ({error})") from error

    def encode(self, texts: list[str], **_) -> np.ndarray:
        """float32[n, d], unit vectors, one text at a time: what shares a batch would change them."""
        return np.array([self._one(text) for text in texts], np.float32)

    def _one(self, text: str) -> list[float]:
        text = text[: 8 * CONTEXT]
        while True:
            answer = self.server.handle_embeddings({"input": [text]})
            answer = json.loads(answer) if isinstance(answer, str) else answer
            if "data" in answer:
                return answer["data"][0]["embedding"]
            if len(text) < 16:
                raise ServiceError(f"the embedded model can't encode a text: {answer.get('error', answer)}")
            text = text[: len(text) // 2]  # more LM tokens than fit

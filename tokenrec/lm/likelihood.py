"""How likely a request is, given an item: a language model's own token probabilities (Sachan et al. 2022, UPR).

llama.cpp's server tells the probabilities of what it writes, not of what it reads, so that the weights of the GGUF are
read with transformers here (package gguf) and texts go through in batches.
"""

import contextlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tokenrec.errors import InputError

BATCH = 16
LONGEST = 96  # LM tokens of an item, and of a request, that are read
ASKED = "Item: {item}\n\nA person's request that this item answers: "


def request_likelihoods(
    path: str | Path, pairs: Sequence[tuple[str, str]], progress: Callable[[int, int], None] = lambda done, total: None
) -> np.ndarray:
    """float32[n]: mean log-probability of a token of the request after the item, for (item, request) pairs.

    Raises InputError where the GGUF can't be read that way.
    """
    tokenizer, model = _load(Path(path))
    import torch

    asked = [tokenizer(" " + request, add_special_tokens=False)["input_ids"][:LONGEST] for _, request in pairs]
    head, tail = (tokenizer(t, add_special_tokens=False)["input_ids"] for t in ASKED.split("{item}"))
    told = [
        [*head, *tokenizer(item, add_special_tokens=False)["input_ids"][:LONGEST], *tail] for item, _ in pairs
    ]
    order = sorted(range(len(pairs)), key=lambda i: len(told[i]) + len(asked[i]))
    found = np.full(len(pairs), np.nan, np.float32)
    for start in range(0, len(order), BATCH):
        some = [i for i in order[start : start + BATCH] if asked[i]]
        if some:
            width = max(len(told[i]) + len(asked[i]) for i in some)
            ids = torch.zeros(len(some), width, dtype=torch.long)
            mask = torch.zeros(len(some), width, dtype=torch.long)
            for row, i in enumerate(some):
                both = told[i] + asked[i]
                ids[row, : len(both)], mask[row, : len(both)] = torch.tensor(both), 1
            with torch.no_grad():
                hidden = model.model(input_ids=ids, attention_mask=mask).last_hidden_state
                for row, i in enumerate(some):
                    first = len(told[i]) - 1
                    scores = model.lm_head(hidden[row, first : first + len(asked[i])]).float().log_softmax(-1)
                    found[i] = float(scores[torch.arange(len(asked[i])), torch.tensor(asked[i])].mean())
        progress(min(start + BATCH, len(order)), len(order))
    return found


def _load(path: Path):
    try:
        import gguf  # noqa: F401
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise InputError("likelihoods of requests need gguf. run: pip install 'tokenrec[retrieval]'") from error
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
            model = AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name)
        if not hasattr(model, "lm_head") or not hasattr(model, "model"):
            raise ValueError(f"a {type(model).__name__} has no lm_head")
    except Exception as error:  # whatever an unknown architecture or a broken file raises
        why = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise InputError(f"{path}: can't be read for likelihoods ({why}). Write keep: {{by: encoder}}") from error
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
    return tokenizer, model.eval()

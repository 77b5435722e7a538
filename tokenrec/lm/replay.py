"""Recorded completions played back: tests, demos, the reproduction of papers.

One JSON object a line: {"task", "subject" or "input_hash", "sample" (0), "raw" or "output",
"first_raw" (the malformed answer that "raw" repairs), "finish_reason", "probabilities", "model",
"prompt_tokens", "completion_tokens"}. `tokenrec export --completions` writes this form; `.gz` is read too.
"""

import gzip
import hashlib
import json
from pathlib import Path

from tokenrec.errors import InputError


def replay_id(path: Path) -> str:
    """Model id of a recording: its content, so that a changed file is another model."""
    return "replay/" + hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def read_recording(path: Path) -> dict[tuple[str, str, int], dict]:
    """(task, subject or input hash, sample) → record. Raises InputError naming the line."""
    found: dict[tuple[str, str, int], dict] = {}
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                task, key = record["task"], record.get("input_hash") or record["subject"]
                if "raw" not in record:
                    record["raw"] = json.dumps(record["output"], ensure_ascii=False)
                found[task, str(key), int(record.get("sample", 0))] = record
                if record.get("subject"):
                    found[task, str(record["subject"]), int(record.get("sample", 0))] = record
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise InputError(
                    f"{path}:{number}: no recorded completion ({error}). A line is "
                    '{"task": ..., "subject": ..., "output": {...}}'
                ) from error
    return found

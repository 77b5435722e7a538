"""Stable identities: SHA-256 over canonical JSON."""

import hashlib
import json
import math
import time
import uuid
from typing import Any

_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces and real unicode, so that equal values give equal text."""
    return _ENCODER.encode(value)


def content_id(value: Any) -> str:
    """Hex SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def unit_hash(*parts: Any) -> float:
    """A number in [0, 1) that depends only on `parts`: seeded choices that survive reordering."""
    return int(content_id(list(parts))[:13], 16) / 16**13


def run_id() -> str:
    """A run's name: when it began (UTC), and six digits by chance."""
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + uuid.uuid4().hex[:6]


def finite(value: float | None) -> float | None:
    """JSON has no NaN or infinity: null."""
    return value if value is not None and math.isfinite(value) else None

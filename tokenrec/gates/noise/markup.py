"""Markup where plain text was asked for: HTML, Markdown, links, control characters, an LM's own marks."""

import re

from ..base import Finding
from ..text import clip

GATE = "noise/markup"

_CONTROL = (
    r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufffd\ue000-\uf8ff\ud800-\udfff"
)
_KINDS = [
    ("an LM's control mark", r"<\|[^|>\n]{1,40}\|>|</?s>|\[/?INST\]|</?think>|<<\s*/?SYS\s*>>|\[\[\s*##"),
    (
        "HTML",
        (
            r"</?[a-zA-Z][a-zA-Z0-9]{0,12}(?:\s[^<>]{0,200})?/?>|<!--"
            r"|&(?:nbsp|amp|quot|lt|gt|#\d{1,6}|#x[0-9a-fA-F]{1,6});"
        ),
    ),
    ("a link", r"\bhttps?://\S+|\bwww\.[\w-]+\.\S+|\[[^\]\n]{1,80}\]\([^)\n]{1,200}\)"),
    (
        "Markdown",
        (
            r"```|\*\*[^*\n]{1,200}\*\*|__[^_\n]{1,200}__|(?:^|\n)\s{0,3}#{1,6}\s+\S+"
            r"|(?:^|\n)\s*[-*•]\s+\S[^\n]*\n\s*[-*•]\s+\S|(?:^|\n)\s*\|[^\n]*\|"
        ),
    ),
    ("JSON", r"[{\[]\s*\"[^\"\n]{1,60}\"\s*[:,]"),
    ("a control character", f"[{_CONTROL}]"),
]
_ANY = re.compile(rf"[<&\[{{`*_#|•{_CONTROL}]|\n\s*-|http|www\.")  # no markup without one of these
_MARKUP = re.compile("|".join(f"(?P<k{i}>{pattern})" for i, (_, pattern) in enumerate(_KINDS)))


def markup(text: str, name: str = "") -> Finding:
    """Fails on markup; what is part of the subject's own name is its name."""
    if not _ANY.search(text):
        return Finding(GATE, True)
    for found in _MARKUP.finditer(text):
        if name and found.group().strip() in name:
            continue
        kind = _KINDS[int(found.lastgroup[1:])][0]
        return Finding(GATE, False, 1.0, f"{kind} in plain text", clip(found.group()))
    return Finding(GATE, True)

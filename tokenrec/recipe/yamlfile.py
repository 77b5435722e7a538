"""YAML with positions: plain values, the line of every key, and errors that say what to do.

Scalars follow the YAML 1.2 core schema, so `on`, `off`, `yes`, `no` and dates stay text; only `true`
and `false` are booleans. Tags, merge keys, second documents and keys given twice are refused. Nothing
in a file can run code or grow without bound.
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tokenrec.errors import InputError

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_VALUES = 50_000  # after aliases are written out

_TOO_MANY = f"holds more than {MAX_VALUES} values. move lists of data into files that data: names"
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
# Control characters, lone surrogates, and the line ends that YAML 1.1 knew and editors do not show.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
COMPARES = re.compile(r"(^|[:\[,{(]\s*)(>=|<=|!=|==|>|<)\s*-?[\d.]+")

Path_ = tuple  # of keys and list positions, from the top of a document


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a file. `text`: what is wrong. what to do."""

    line: int
    path: Path_
    text: str


@dataclass(frozen=True)
class Document:
    """A YAML mapping as plain values, with the line and the source text of every value by its path."""

    file: str
    value: dict[str, Any]
    lines: dict[Path_, int]
    styles: dict[Path_, str]  # of scalars: "" plain, else ' " > |
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: Path_) -> int:
        """Line of `path`, or of its nearest ancestor that the file has."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


@dataclass
class _Node:
    kind: str  # scalar | list | map
    line: int
    value: Any = None
    style: str = ""
    items: list = field(default_factory=list)  # nodes, or (key node, node)


class _Broken(Exception):
    def __init__(self, line: int, text: str):
        self.line, self.text = line, text


def path_text(path: Path_) -> str:
    """`("tasks", "taste", "choices", 2)` as `tasks.taste.choices[2]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def raise_problems(file: str, problems: list[Problem]) -> None:
    """Raise one InputError with a line for each problem, in file order; nothing when there are none."""
    if problems:
        unique = sorted(set(problems), key=lambda p: (p.line, path_text(p.path), p.text))
        rows = [(p.line, (f"{path_text(p.path)}: " if p.path else "") + p.text) for p in unique]
        raise InputError("\n".join(f"{file}:{line}: {' '.join(text.split())}" for line, text in rows))


def read_yaml(path: Path) -> Document:
    """Read a YAML file whose top is a mapping.

    Raises InputError (file:line) where nothing further can be read: no file, over 1 MB, not UTF-8, bad
    syntax, nested over 40 levels, no mapping at the top. Faults that leave the rest readable (a key
    given twice, a tag, an infinite number) are left in `problems` for the caller to report with its own.
    """
    file = str(path)
    try:
        if path.is_dir():
            raise InputError(f"{file}:1: is a folder. name the YAML file in it")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{file}:1: is over 1 MB. keep data in the files that data: names, not in the YAML")
        raw = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{file}:1: cannot be read: {reason}. check the path") from None
    return parse_yaml(raw, file)


def parse_yaml(raw: bytes, file: str) -> Document:
    """`read_yaml` for bytes already in memory; `file` is the name that errors show."""
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{file}:{line}: is not UTF-8. save the file as UTF-8") from None
    try:
        if control := _CONTROL.search(text):
            line = text.count("\n", 0, control.start()) + 1
            raise _Broken(line, f"holds the invisible character {_name(control)}. remove it")
        top = _tree(text)
        if top is None or (top.kind == "scalar" and top.value == ""):
            raise _Broken(1, "is empty. begin from a recipe that works: tokenrec init my_project")
        if top.kind != "map":
            kind = "list" if top.kind == "list" else "single text"
            raise _Broken(top.line, f"is a {kind} at its top. write keys and values, like name: my_recipe")
        document = Document(file, {}, {(): 1}, {})
        document.value.update(_plain(top, (), document))
        return document
    except _Broken as broken:
        raise InputError(f"{file}:{broken.line}: {broken.text}") from None


def _name(match: re.Match) -> str:
    return f"U+{ord(match.group()):04X}"


def _tree(text: str) -> _Node | None:
    """The parser's events as nodes. Depth is limited here, before anything recurses."""
    loader = yaml.SafeLoader(text)
    top, anchors, stack, keys, count = None, {}, [], [], 0
    try:
        while loader.check_event():
            event = loader.get_event()
            line = event.start_mark.line + 1
            if isinstance(event, yaml.DocumentStartEvent) and top is not None:
                raise _Broken(line, "begins a second document (---). keep one recipe a file")
            if isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                stack.pop(), keys.pop()
                continue
            if isinstance(event, yaml.AliasEvent):
                node = anchors.get(event.anchor)
                if node is None:
                    raise _Broken(line, f'*{event.anchor} names no &{event.anchor} above it. put quotes around text '
                                        f'that begins with *')
            elif isinstance(event, yaml.NodeEvent):
                node = _node(event, line)
                count += 1
                if count > 2 * MAX_VALUES:  # keys count here
                    raise _Broken(line, _TOO_MANY)
                if event.anchor:
                    anchors[event.anchor] = node
            else:
                continue
            if not stack:
                top = node
            elif stack[-1].kind == "list":
                stack[-1].items.append(node)
            elif keys[-1] is None:
                keys[-1] = (node, line)
            else:
                stack[-1].items.append((*keys[-1], node))
                keys[-1] = None
            if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                stack.append(node), keys.append(None)
                if len(stack) > MAX_DEPTH:
                    raise _Broken(line, f"is nested deeper than {MAX_DEPTH} levels. a recipe needs six")
        return top
    except yaml.MarkedYAMLError as error:
        raise _Broken(*_syntax(error, text.split("\n"))) from None
    except (yaml.YAMLError, ValueError, OverflowError):  # e.g. "\UFFFFFFFF"
        raise _Broken(loader.get_mark().line + 1, "has a character escape that does not exist. "
                                                  "in single quotes a backslash is just a backslash") from None


def _node(event, line: int) -> _Node:
    kind = {yaml.ScalarEvent: "scalar", yaml.SequenceStartEvent: "list", yaml.MappingStartEvent: "map"}[type(event)]
    value = event.value if kind == "scalar" else None
    style = (event.style or "") if kind == "scalar" else ""
    return _Node(kind, line, value, "!" + event.tag if event.tag else style)


def _plain(node: _Node, path: Path_, document: Document, line: int | None = None) -> Any:
    """Nodes as plain values; positions and faults go into `document`."""
    line = line or node.line
    document.lines[path] = line if path else 1
    if len(document.lines) > MAX_VALUES:
        raise _Broken(line, _TOO_MANY)
    if len(path) > MAX_DEPTH:
        raise _Broken(line, f"is nested deeper than {MAX_DEPTH} levels once aliases are written out. avoid * here")

    def fault(text: str, at: Path_ = path, at_line: int = line) -> None:
        document.problems.append(Problem(at_line, at, text))

    if node.style.startswith("!"):
        hint = 'write a comparison in quotes, like "!= 0"' if node.style[1:] in ("!=", "!") else "write the plain value"
        fault(f"has the tag {node.style[1:]}, and tags are not read. {hint}")
    if node.kind == "list":
        return [_plain(item, (*path, i), document) for i, item in enumerate(node.items)]
    if node.kind == "scalar":
        document.styles[path] = node.style
        if bad := _CONTROL.search(node.value):
            fault(f"holds the invisible character {_name(bad)}. remove it")
            return _CONTROL.sub("", node.value)
        return _scalar(node, fault)
    out, seen = {}, {}
    for key, key_line, value in node.items:
        if key.kind != "scalar":
            raise _Broken(key_line, "has a list or mapping as a key. text that begins with { or [ needs quotes")
        name = _CONTROL.sub("", key.value)
        if name == "<<":
            fault("<<: is not read (YAML 1.2 dropped it). write the keys out", (*path, name), key_line)
        elif name in seen:
            fault(f"is given twice, first in line {seen[name]}. keep one", (*path, name), key_line)
        else:
            seen[name] = key_line
            out[name] = _plain(value, (*path, name), document, key_line)
    return out


def _scalar(node: _Node, fault) -> Any:
    """YAML 1.2 core schema; text with quotes or in a block is always text."""
    text = node.value
    if node.style:
        return text
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text.lower() == "true"
    if _NO_NUMBER.fullmatch(text):
        fault(f"is {text}, which no setting can use. write a number, or put quotes around text")
        return None
    if len(text) > 400 and (_INT.fullmatch(text) or _FLOAT.fullmatch(text)):
        fault("is a number of over 400 digits. write a smaller one, or put quotes around text")
        return None
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if not math.isfinite(number):
            fault("is too large a number. write a smaller one")
            return None
        return number
    return text


def _syntax(error: yaml.MarkedYAMLError, rows: list[str]) -> tuple[int, str]:
    """The line to look at, what is wrong there, what to do."""
    mark, context = error.problem_mark or error.context_mark, error.context_mark
    line, problem = mark.line + 1, (error.problem or "cannot be read").strip()
    opened = context.line + 1 if context else line
    row = rows[line - 1] if line <= len(rows) else ""
    if COMPARES.search(re.sub(r"""(["']).*?\1""", "", row)):
        return line, 'has a comparison without quotes, which YAML reads as something else. write it like ">= 4"'
    if "'\\t'" in problem or re.match(r" *\t", row):
        return line, "is indented with a tab. indent with spaces"
    if "mapping values are not allowed" in problem:
        return line, 'has a second ": " in one line. put quotes around text that holds ": ", or mend the indentation'
    if "end of stream" in problem and "quoted scalar" in (error.context or ""):
        return opened, "opens a quote that is never closed. close it"
    odd = [i for i, r in enumerate(rows[: line - 1], 1) if r.replace('\\"', "").count('"') % 2]
    if odd and row[: mark.column].count('"') % 2:  # what looks like an opening quote closed an earlier one
        return odd[-1], f"opens a quote that is closed only in line {line}. close it where the text ends"
    if "flow" in (error.context or "") and "expected" in problem:
        return opened, f"opens a {{ or [ that is not closed, or lacks a comma (noticed in line {line}). close it"
    if "cannot start any token" in problem:
        return line, f"{problem}. put quotes around the text"
    if "escape character" in problem or "escape sequence" in problem:
        return line, f"{problem}. in single quotes a backslash is just a backslash"
    if "could not find expected ':'" in problem:
        return opened, 'has text where "key: value" should be. add the colon and a space after it, or the indentation'
    if "block" in (error.context or ""):
        return (
            line,
            f"{problem}. keys of one level start in the same column, and text after a closing quote is an error",
        )
    return line, f"{problem}. put quotes around text with special characters, and check the indentation"

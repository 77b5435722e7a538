"""pydantic's errors in the words of a recipe: file, line, key, what is wrong, what to do."""

import re
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from tokenrec.recipe.yamlfile import Document, Path_, Problem

_SECRET = {"api_key", "apikey", "key", "token", "secret", "password", "api_token", "access_token"}
_PATTERNS = {  # how to name what a pattern wants, by a piece of the pattern
    "(ndcg|recall|mrr)": "write ndcg@10, recall@20, mrr@10 or the like",
    "(>=|<=": 'write a comparison in quotes, like ">= 4"',
    "[A-Za-z][A-Za-z0-9_]*$": "use the letters a to z, digits and _, beginning with a letter",
    "[A-Z_][A-Z0-9_]*$": "write the NAME of an environment variable, in capitals, never the key itself",
    "https?": "write a URL that begins with http:// or https:// and holds no user or password",
}
_ADVICE = {  # what to do, by a piece of what a model's own check says
    "repeat": "remove the one that is too many (capitals do not count)",
    "at least two": "add one, or drop the output",
    "must be 1": "mend the shares",
    "needs": "add it",
    "either": "keep one of them",
    "is above": "lower it",
    "go with": "remove it, or change the type",
    "goes with": "remove it, or change for:",
    "is empty": "remove it",
}


def nearest(word: str, known: list[str]) -> str:
    """`did you mean x?`, or the known words when none is near; a whole sentence."""
    close = get_close_matches(str(word).lower(), [k.lower() for k in known], n=1, cutoff=0.6)
    if close:
        return f"did you mean {next(k for k in known if k.lower() == close[0])}?"
    if not known:
        return "there is none to name here"
    shown = ", ".join(known[:15]) + (", …" if len(known) > 15 else "")
    return f"known here: {shown}"


def explain(error: ValidationError, document: Document, model: type[BaseModel], at: Path_ = ()) -> list[Problem]:
    """One Problem for each of pydantic's errors. `at` is where in the document `model` was read from."""
    value = _at(document.value, at)
    problems = []
    for entry in error.errors(include_url=False):
        path, tags = _real_path(value, entry["loc"])
        inside = _at(value, path)
        if any((tag == "str") if isinstance(inside, list) or path[-1:] and isinstance(path[-1], int)
               else tag.startswith("list[") for tag in tags):
            continue  # the branch of a union that this value was never meant for
        path, text = _words(entry, path, inside, model, bool(tags), document.styles.get((*at, *path), ""))
        path = (*at, *path)
        problems.append(Problem(document.line(path), path, text))
    return problems


def _at(value: Any, path: Path_) -> Any:
    for part in path:
        value = value[part]
    return value


def _real_path(value: Any, loc: tuple) -> tuple[Path_, list[str]]:
    """The part of `loc` that the document has, and the names of union branches left out of it."""
    path, tags = [], []
    for part in loc:
        if part == "[key]":
            break
        found = part in value if isinstance(value, dict) else isinstance(value, list) and isinstance(part, int)
        if found:
            path.append(part)
            value = value[part]
        elif isinstance(part, str) and (part == "str" or part.startswith("list[")):
            tags.append(part)
    return tuple(path), tags


def _kind(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"the number {value}"
    return {str: f'the text "{str(value)[:40]}"', list: "a list", dict: "keys and values"}.get(type(value), "unknown")


def _words(entry, path: Path_, value, model, in_union: bool, style: str) -> tuple[Path_, str]:
    kind, ctx, last = entry["type"], entry.get("ctx", {}), str(entry["loc"][-1]) if entry["loc"] else ""
    if kind == "missing":
        return path, f"lacks {last}:. add it"
    if kind == "extra_forbidden":
        if last.lower() in _SECRET or last.lower().replace("-", "_") in _SECRET:
            return path, ("a key has no place in a file that is shared. put it into an environment variable "
                          "and give its name: api_key_env: OPENAI_API_KEY")
        return path, f"is no key that is known. {nearest(last, known_keys(model, entry['loc'][:-1]))}"
    if kind == "string_pattern_mismatch":
        advice = next((v for k, v in _PATTERNS.items() if k in ctx["pattern"]), f"it must match {ctx['pattern']}")
        if "capitals" in advice:
            return path, f"is not the name of an environment variable. {advice}"  # may be a secret: don't show it
        if "http" in advice:
            return path, f"is no address that can be used. {advice}"
        if style in (">", "|"):
            return path, f"is read by YAML as a block of text, since > or | has no quotes around it. {advice}"
        return path, f'cannot be "{str(path[-1] if last == "[key]" else value)[:40]}". {advice}'
    if kind in ("literal_error", "union_tag_invalid"):
        words = re.findall(r"'([^']*)'", str(ctx.get("expected", ctx.get("expected_tags", ""))))
        given = value if kind == "literal_error" else (value or {}).get("kind")
        path = path if kind == "literal_error" else (*path, "kind")
        known = f"it is one of {', '.join(words)}"
        if not isinstance(given, str):
            return path, f"is {_kind(given)}. {known}"
        return path, f'cannot be "{given[:40]}". {known}; {nearest(given, words)}'
    if kind == "union_tag_not_found":
        return path, "lacks kind:. add kind: embedded, api, replay or encoder"
    if kind == "value_error":
        text = entry["msg"].removeprefix("Value error, ")
        if known := re.fullmatch(r"\w+ knows (.+); not (.+)", text):
            return (*path, known[2]), f"is no key that is known. {nearest(known[2], known[1].split(', '))}"
        named = [w for w in re.findall(r"\w+", text) if isinstance(value, dict) and w in value]
        advice = next((v for k, v in _ADVICE.items() if k in text), "mend it")
        return (*path, *named[:1]), text if ". " in text else f"{text}. {advice}"
    return path, _type_words(kind, ctx, value, in_union and not isinstance(path[-1], int), entry["msg"])


def _type_words(kind: str, ctx: dict, value: Any, in_union: bool, message: str) -> str:
    is_ = "is empty" if value is None else f"is {_kind(value)}"
    if value is None:
        return "is empty. give it a value or remove the key"
    if kind == "string_type":
        if isinstance(value, (bool, int, float)) and not in_union:
            shown = str(value).lower() if isinstance(value, bool) else value
            return f'{is_}, and text is wanted. put it in quotes: "{shown}"'
        return f"{is_}, and {'a list' if in_union else 'text'} is wanted. write {'[a, b]' if in_union else 'one text'}"
    if kind == "list_type":
        return f"{is_}, and a list is wanted. write [{value if isinstance(value, str) else 'a, b'}]"
    if kind in ("int_type", "int_from_float", "float_type"):
        whole = "a whole number" if kind.startswith("int") else "a number"
        return f"{is_}, and {whole} is wanted. write it without quotes, like {ctx.get('ge', 10)}"
    if kind == "bool_type":
        return f"{is_}, and true or false is wanted. write true or false"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"{is_}, and keys with values are wanted. write them indented under this key"
    if kind == "too_short":
        return f"needs at least {ctx['min_length']} {'entry' if ctx['min_length'] == 1 else 'entries'}. add one"
    for type_, words in (("greater_than_equal", "at least"), ("less_than_equal", "at most"),
                         ("greater_than", "above"), ("less_than", "below")):
        if kind == type_:
            limit = next(v for k, v in ctx.items() if k in ("ge", "le", "gt", "lt"))
            return f"{is_}. it must be {words} {limit:g}"
    return f"{message[0].lower()}{message[1:]}. see tokenrec recipe schema"


def known_keys(model: type[BaseModel], loc: tuple) -> list[str]:
    """The keys that `model` knows at `loc`, read from its JSON Schema."""
    schema = model.model_json_schema(by_alias=True)
    return sorted(_keys(schema, schema.get("$defs", {}), list(loc)))


def _keys(node: dict, defs: dict, loc: list) -> list[str]:
    if "$ref" in node:
        return _keys(defs[node["$ref"].rsplit("/", 1)[1]], defs, loc)
    if mapping := node.get("discriminator", {}).get("mapping"):
        return _keys({"$ref": mapping[loc[0]]}, defs, loc[1:]) if loc and loc[0] in mapping else []
    for branch in node.get("anyOf", []):
        if found := _keys(branch, defs, loc):
            return found
    if not loc:
        return list(node.get("properties", {}))
    part, rest = loc[0], loc[1:]
    if part in node.get("properties", {}):
        return _keys(node["properties"][part], defs, rest)
    if isinstance(part, int) and "items" in node:
        return _keys(node["items"], defs, rest)
    if isinstance(extra := node.get("additionalProperties"), dict):
        return _keys(extra, defs, rest)
    for extra in node.get("patternProperties", {}).values():
        return _keys(extra, defs, rest)
    return []

"""A menu for one request: retrieve, keep what the limits allow, rank, and say why each item is there."""

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tokenrec.errors import BudgetStop, InputError, ServiceError
from tokenrec.gates.text import tokens
from tokenrec.lm.plain import value_text
from tokenrec.ranking.requests import rank
from tokenrec.ranking.retrieval import DEPTH, Top, reciprocal, terms, top_of
from tokenrec.serve.cues import ASKING
from tokenrec.serve.denied import denied, tag_at
from tokenrec.serve.limits import Limit, holds, phrase
from tokenrec.serve.request import Read, read
from tokenrec.serve.server import Server
from tokenrec.serve.wording import Parsed, parse
from tokenrec.tasks.inputs import display_name

RETRIEVED = 50  # of the items that the limits allow, the best for the request: these are ranked
ASKED_K = 10  # of a place for the request beside one for the user (60): what plainly suits stays first
LIKELY = 0.3  # a tag below is not named as a reason
FIRST = float(reciprocal(np.ones(1))[0])


@dataclass(frozen=True)
class Wish:
    """What a request is read as. `tags`: (task.output, choice) → +1 wanted, -1 not wanted."""

    read: Read
    parsed: Parsed
    tags: dict[tuple[str, str], int]
    sought: str  # what is looked for in the items: without what is not wanted and can't be kept away


def recommend(
    server: Server, request: str, user: str | None = None, k: int = 10, write: bool | None = None
) -> dict[str, Any]:
    """The document of `tokenrec recommend`. Raises InputError for a request that can't be served.

    Of the items that keep every limit the RETRIEVED best by reciprocal rank fusion of BM25, the encoder's cosine (or
    the ranker of requests in place of both) and the wanted tags' probabilities are ranked: by the fusion of that order
    and the trained ranker's for this user, in which the request's first places count for more.
    Without a user the ranker knows popularity alone, so it orders only where the request asks for nothing but limits.
    A limit is held against the item's own record; where that does not say, the item is left out. With `write` the LM
    writes each line anew for the request (`lines.write_lines`); None does what the recipe's `recommend.write` says, and
    shows the stored lines, with a note, where the LM fails.
    """
    began, code = time.perf_counter(), server.code_of(user)
    wish = understand(server, request)
    items, margin = server.margin(code)
    allowed, left_out = _allowed(server, wish.parsed.limits, items)
    items, margin = items[allowed], margin[allowed]
    places = _orders(server, wish, items)
    found = sum((reciprocal(p[items]) for p in places.values()), np.zeros(len(items)))
    if wish.sought:  # what likely is as it was not wanted loses as much as a first place gives
        found -= sum(((p[items] >= LIKELY) & (s < 0)) * FIRST for p, s in _chances(server, wish.tags))
    best = np.argsort(-found, kind="stable")[: max(k, RETRIEVED)] if places else np.arange(len(items))
    items, margin, found = items[best], margin[best], found[best]
    ranked, said = _places(margin), _places(found)
    score = np.zeros(len(items))
    if places:
        score += 1 / (ASKED_K + said)
    if user is not None or not places:
        score += reciprocal(ranked)
    order = np.argsort(-score, kind="stable")[:k]
    notes, lines = list(server.notes), {}
    if write or (write is None and server.loaded.recipe.recommend.write):
        lines = _written(server, wish, request, [server.dataset.item_ids[items[i]] for i in order], write, notes)
    return {
        "kind": "recommend",
        "schema_version": 1,
        "recipe": server.loaded.recipe.name,
        "simulated": server.dataset.simulated,
        "query": "".join(c for c in request if c.isprintable()),
        "read_as": wish.read.text if wish.read.language else None,
        "language": wish.read.language,
        "not_understood": wish.read.unknown,
        "looked_for": wish.parsed.rest,
        "filters": [{"limit": _told(x), "said": x.said, **left_out[_told(x)]} for x in wish.parsed.limits],
        "unkept": wish.parsed.unkept,
        "user": user,
        "likened_by": server.likeness[0].encoder_id,
        "ordered_by": "learnt" if "learnt" in places else "fused",
        "results": [
            {
                "item": server.dataset.item_ids[items[i]],
                "name": display_name(server.loaded.recipe, server.dataset.items[items[i]]),
                "score": round(float(score[i]), 6),
                "place_for_request": int(said[i]) if places else None,
                "place_for_user": int(ranked[i]) if user is not None else None,
                **_line(server, items[i], lines),
                "why": [*_reasons(server, wish, int(items[i])), *_of_profile(server, user, int(items[i]))],
                "facts": _facts(server, int(items[i])),
            }
            for i in order
        ],
        "notes": notes,
        "seconds": round(time.perf_counter() - began, 3),
    }  # fmt: skip


def understand(server: Server, request: str) -> Wish:
    """The request in the catalogue's words, its limits, and the tags that it names."""
    told = read(request, server.dictionaries, server.vocabulary)
    tags = {phrase(c): (f"{v.source}.{v.output}", c) for v in server.named for c in v.columns}
    parsed = parse(told.text, server.numbers, lambda what: what in server.made_of and what not in tags)
    if parsed.unread:  # a menu that passes over an allergy is worse than none
        raise InputError(
            f'this sounds like a limit and was not understood: "{parsed.unread[0]}". '
            'Say it as "no ..." or "allergic to ..."'
        )
    rest = tokens(parsed.rest)
    stems, unwanted, wanted = [phrase(word) for word, *_ in rest], denied(parsed.rest, tags), {}
    for said, tag in tags.items():
        size = len(said.split())
        for at in range(len(stems) - size + 1):
            if " ".join(stems[at : at + size]) == said:
                wanted[tag] = -1 if any(begin <= at < end for begin, _, end in unwanted) else 1
    unkept, kept, last = list(parsed.unkept), [], 0
    for begin, first, end in unwanted:
        said, what = parsed.rest[rest[begin][1] : rest[first][2]], parsed.rest[slice(*rest[first][1:])]
        firm = rest[begin][0] in ("no", "without") and stems[first] in server.vocabulary
        firm |= begin + 1 == first and [w for w, *_ in rest[begin - 1 : begin + 1]] in (["is", "not"], ["are", "not"])
        if firm and not tag_at(stems, first, tags) and not any(said in u or u == f"no {what}" for u in unkept):
            unkept.append(said)
        kept.append(parsed.rest[last : rest[begin][1]])
        last = rest[end - 1][2]
    sought = " ".join(" ".join([*kept, parsed.rest[last:]]).split())
    if unwanted and not terms(_telling(sought)):
        sought = ""  # "and" of "not too sweet and not too sour"
    return Wish(told, replace(parsed, unkept=unkept), wanted, sought)


def _allowed(server: Server, limits: list[Limit], items: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """(places of `items` that keep all limits, how many were left out by each: "breaks" it, or "unknown")."""
    recipe, counts = server.loaded.recipe, {_told(x): {"breaks": 0, "unknown": 0} for x in limits}
    kept = np.ones(len(items), bool)
    for at, item in enumerate(items):
        record = server.dataset.items[item]
        for limit in limits:
            held = holds(limit, record, server.contains, recipe.recommend.diet)
            if not held:
                counts[_told(limit)]["unknown" if held is None else "breaks"] += 1
                kept[at] = False
    return np.flatnonzero(kept), counts


def _orders(server: Server, wish: Wish, items: np.ndarray) -> dict[str, np.ndarray]:
    """int[n_items] each: places (1 is best) of the items, 0 for none: by words and by likeness, or by the ranker of
    requests in place of both; and by tags."""
    text, n = wish.sought, len(server.dataset.item_ids)
    allowed = np.zeros(n, bool)
    allowed[items] = True
    tops = _tops(server, text, allowed) if text else {}
    if text and server.order:
        tops = {"learnt": rank(server.order, list(tops.values()))}
    out = {name: _of_top(top.item[0][top.item[0] >= 0], n) for name, top in tops.items()}
    meant = {t: s for t, s in wish.tags.items() if s > 0 or not text}  # dislikes order where nothing is sought
    if meant:
        likely = sum(_standard(p) * s for p, s in _chances(server, meant))
        out["tags"] = _of_top([i for i in np.argsort(-likely, kind="stable") if allowed[i]], n)
    return out


def _tops(server: Server, text: str, allowed: np.ndarray) -> dict[str, Top]:
    """What each retriever that counts ranks of the allowed items, as deep and in the order that the ranker of requests
    knows."""
    # the ranker of requests learnt from requests as they are
    n, found = len(allowed), server.words_of_items([text if server.order else _telling(text)])
    kept = (found.item[0] >= 0) & allowed[found.item[0]]
    tops = {"bm25": Top(found.item[:, kept], found.score[:, kept])}
    by = {"encoder": (server.encoder, server.raw.matrix)} if server.order or not server.trained else {}
    by |= {"trained": server.likeness} if server.trained else {}
    for name, (encoder, vectors) in by.items():
        vector = encoder.model.encode([text], normalize_embeddings=True, show_progress_bar=False)[0]
        near = np.where(allowed & ~np.isnan(vectors).any(axis=1), vectors @ vector.astype(np.float32), -np.inf)
        tops[name] = top_of([near[None]], n, DEPTH)
    return tops


def _telling(text: str) -> str:
    """A request without the words that any request has: a dish "like" any other is not what was asked for."""
    return " ".join(word for word in text.split() if word.lower().strip(",.;:!?") not in ASKING)


def _chances(server: Server, tags: dict[tuple[str, str], int]) -> list[tuple[np.ndarray, int]]:
    """(float[n_items] probability, sign) of each tag."""
    by = {f"{v.source}.{v.output}": v for v in server.named}
    return [(np.nan_to_num(v.matrix[:, v.columns.index(c)]), s) for (n, c), s in tags.items() if (v := by.get(n))]


def _standard(p: np.ndarray) -> np.ndarray:
    return (p - p.mean()) / (p.std() or 1.0)


def _of_top(items, n: int) -> np.ndarray:
    place = np.zeros(n, np.int64)
    place[np.asarray(items, int)] = 1 + np.arange(len(items))
    return place


def _places(score: np.ndarray) -> np.ndarray:
    """int[n]: 1 for the highest."""
    place = np.empty(len(score), np.int64)
    place[np.argsort(-score, kind="stable")] = 1 + np.arange(len(score))
    return place


def _told(limit: Limit) -> str:
    if limit.kind == "at_most":
        return f"{limit.name} at most {limit.most:g}"
    if limit.partly:
        return f"{limit.name}, as far as what is listed tells"
    return limit.name if limit.diets else f"without {limit.name}"


def _reasons(server: Server, wish: Wish, item: int) -> list[dict[str, Any]]:
    """Which words of the request met what of the item: words of its own fields, then tags with their probability."""
    asked, why = set(terms(_telling(wish.sought))), []
    fields = server.loaded.recipe.data.items
    for field in dict.fromkeys([*fields.text, *fields.facts]):
        value = value_text(server.dataset.items[item].get(field))
        met = [w for w in dict.fromkeys(terms(value)) if w in asked]
        if met:
            why.append({"words": met, "from": field, "kind": "fact"})
    for v in server.named:
        for (name, choice), sign in wish.tags.items():
            p = v.matrix[item, v.columns.index(choice)] if name == f"{v.source}.{v.output}" else np.nan
            if sign > 0 and p >= LIKELY:
                why.append({"words": [choice], "from": name, "kind": "token", "probability": round(float(p), 2)})
    return why


def _of_profile(server: Server, user: str | None, item: int) -> list[dict[str, Any]]:
    """Which tags of the user's profile, as an LM or a person wrote it, the item likely has."""
    why, told = [], [v for vs in server.vectors.values() for v in vs if v.subject == "user" and v.named]
    for mine in told if user is not None else []:
        said = server.tokens.get(mine.source, {}).get(user, {}).get(mine.output)
        for tag in said if isinstance(said, list) else [said]:
            for v in server.named:
                if v.space == mine.space and tag in v.columns and (p := v.matrix[item, v.columns.index(tag)]) >= LIKELY:
                    name = f"{mine.source}.{mine.output}"
                    why.append({"words": [tag], "from": name, "kind": "profile", "probability": round(float(p), 2)})
    return why


def _written(
    server: Server, wish: Wish, request: str, items: list[str], asked: bool | None, notes: list[str]
) -> dict[str, str]:
    """item id → the line written now. A failure is a note where nobody asked for lines on this call."""
    from tokenrec.serve.lines import write_lines

    if not server.loaded.recipe.recommend.line:
        raise InputError("--write needs recommend: {line: task.output} in the recipe, the text to be written")
    try:
        if not (lines := write_lines(server, wish.parsed.rest or request, items)):
            notes.append("no line that was written for this request passed the gates")
        return lines
    except (BudgetStop, ServiceError, InputError) as error:  # also no key, no price under a budget
        if asked:
            raise
        notes.append(f"no line was written for this request: {error}")
        return {}


def _line(server: Server, item: int, written: dict[str, str]) -> dict[str, str | None]:
    """The line written now, or the stored, gated one of `recommend.line`."""
    if new := written.get(server.dataset.item_ids[item]):
        return {"line": new, "line_source": "written"}
    task, _, output = (server.loaded.recipe.recommend.line or "").partition(".")
    old = server.tokens.get(task, {}).get(server.dataset.item_ids[item], {}).get(output)
    return {"line": old, "line_source": "stored" if old else "none"}


def _facts(server: Server, item: int) -> dict[str, Any]:
    """The record's own numbers and diet, which limits are held against."""
    record, recommend_ = server.dataset.items[item], server.loaded.recipe.recommend
    shown = [*server.numbers, *([recommend_.diet] if recommend_.diet else [])]
    return {f: record[f] for f in shown if record.get(f) is not None}

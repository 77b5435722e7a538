"""Prompts that play the gate, through a real compile of a small recipe; each is the one challenger of a search.

Real dishes of the bundled kitchen, more than half of them without a history, and SIMULATED diners who choose by taste.
The incumbent guesses the taste and is right in three of ten dishes, beside chance. An honest prompt that knows it plays
in the same world at the same level: it has to win, or the others' losing would prove nothing.
"""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from planted_worlds import ROOT, ScriptedLM, instruction

NEW = 0.6  # of the dishes have no history: the prompts' texts are what there is to tell them by
GAME = """\
name: game
data:
  items: {path: dishes.jsonl, id: dish_id, name: name, text: [name], facts: [cuisine]}
  events: {path: events.csv, user: user_id, item: dish_id, time: at, value: rating, positive: ">= 4"}
  simulated: true
lm: {writer: scripted}
tasks:
  about:
    for: item
    inputs: [name]
    write: Guess.
    outputs: {line: {type: text, max_words: 25, grounding: open}}
  diner:
    for: user
    history: {most: 5, min: 3, show: [name]}
    write: Guess.
    outputs: {line: {type: text, max_words: 25, grounding: open}}
compile: {tasks: [about], candidates: 3, budget: {calls: 1000}}
"""

PROMPTS = {
    "copies the title": "Copy the title.",
    "tells nothing": "Praise it so that nothing is wrong.",
    "games the gate": "Name it, and say what holds for any dish.",
    "refuses hard cases": "Guess, and refuse the hard ones.",
    "refuses all": "Refuse.",
    "knows": "Tell what it tastes like.",  # the honest one
}
WORDS = ["amber", "birch", "cedar", "delta", "ember", "frost", "grove", "heath", "ivory", "jade", "kelp", "lunar"]


class Player:
    """An engine for DSPy: what it answers follows from the instruction and the dish's name alone."""

    supports_response_schema, supported_params = True, ("response_format", "temperature", "max_tokens", "seed")

    def __init__(self, taste: dict[str, str]):
        self.taste, self.all = taste, sorted(set(taste.values()))

    def line(self, instruction: str, name: str) -> str:
        from tokenrec.ids import unit_hash

        def guess(luck: float) -> str:
            lucky = unit_hash("luck", name) < luck
            return self.taste.get(name, "") if lucky else self.all[int(unit_hash("guess", name) * len(self.all))]

        own = " ".join(WORDS[int(unit_hash(k, name) * len(WORDS))] for k in "ab")
        if "Copy" in instruction:
            return name
        if "Praise" in instruction:
            return "A dish that everybody enjoys at the table."
        if "Name it" in instruction:
            return f"{name}: {own}"
        if instruction.startswith("Refuse") or ("refuse" in instruction and unit_hash("hard", name) < 0.4):
            return "I am sorry, I cannot help with that."
        if "Tell" in instruction:
            return f"Tastes {self.taste.get(name, '')}, {own}"
        return f"Tastes {guess(0.3)}, {own}"

    def complete(self, request):
        from dspy.lm15 import Message, Response, TextPart, Usage

        from tokenrec.lm.meter import note_end

        text = "".join(m.text or "" for m in request.messages)
        note_end("stop")
        names = re.findall(r"(?:Name|Liked): (.+)", text)
        answer = json.dumps({"line": self.line(text, names[-1].strip() if names else "")})
        return Response(
            id=None, model="scripted", message=Message.assistant([TextPart(answer)]), finish_reason="stop",
            usage=Usage(input_tokens=10, output_tokens=5, total_tokens=15),
        )  # fmt: skip

    def close(self) -> None:
        pass


class AsyncPlayer:
    """The same from asyncio."""

    def __init__(self, player: Player):
        self.player = player
        self.supports_response_schema, self.supported_params = True, player.supported_params

    async def complete(self, request):
        return self.player.complete(request)

    async def aclose(self) -> None:
        pass


class WordEncoder:
    """Texts as bags of words: no weights to load."""

    encoder_id = "words"

    def encode(self, db, texts: list[str], progress=lambda done, total: None) -> np.ndarray:
        from sklearn.feature_extraction.text import HashingVectorizer

        words = HashingVectorizer(n_features=256, alternate_sign=False)
        return words.transform(texts).toarray().astype(np.float32) if texts else np.empty((0, 256), np.float32)


def game(folder: Path, dishes: int = 150, users: int = 2000, each: int = 4):
    """(session, tasks as written by the incumbents): real dishes, and diners who choose by taste."""
    import dspy

    from tokenrec.compiler.session import open_session
    from tokenrec.compiler.writing import write_task
    from tokenrec.dataset.types import FIT, HISTORY, TUNE_A, TUNE_B, Events
    from tokenrec.lm.plain import make_adapter
    from tokenrec.lm.writer import Writer
    from tokenrec.ranking.ranker import Settings
    from tokenrec.recipe.load import load_recipe

    source = ROOT / "recipes/kitchen"
    records = [json.loads(line) for line in (source / "dishes.jsonl").read_text(encoding="utf-8").splitlines()][:dishes]
    taste = {r["dish_id"]: r["taste"][0] for r in map(json.loads, (source / "labels.jsonl").read_text().splitlines())}
    rng, rows = np.random.default_rng(3), ["user_id,dish_id,at,rating"]
    of = {t: [r["dish_id"] for r in records if taste[r["dish_id"]] == t] for t in set(taste.values())}
    kinds = sorted(t for t in of if len(of[t]) >= 5)
    own = rng.integers(0, len(kinds), users)
    for at, user in sorted((float(rng.random() * 300), u) for u in range(users) for _ in range(each)):
        kind = kinds[own[user]]
        among = of[kind] if rng.random() < 0.95 else [r["dish_id"] for r in records]
        rows.append(f"u{user:04},{among[rng.integers(len(among))]},{at:.3f},5")
    folder.joinpath("events.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    lines = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records)
    folder.joinpath("dishes.jsonl").write_text(lines, encoding="utf-8")
    models = "models: {scripted: {kind: replay, path: none.jsonl}}\n"
    folder.joinpath("tokenrec.yaml").write_text("store: store.db\n" + models)
    folder.joinpath("none.jsonl").write_text("")
    folder.joinpath("game.yaml").write_text(GAME)
    session = open_session(load_recipe(folder / "game.yaml"), "game")
    e, held = session.dataset.events, rng.random(len(records)) < NEW
    keep = ~(held[e.item] & (e.window == HISTORY))
    events = Events(*(getattr(e, f)[keep] for f in ("user", "item", "time", "value", "positive", "window")))
    session.dataset = replace(session.dataset, events=events, held=held)
    session.encoder = WordEncoder()
    player = Player({r["name"]: taste[r["dish_id"]] for r in records})
    lm = dspy.LM("scripted/player", engine=player, async_engine=AsyncPlayer(player), cache=False)
    scripted = Writer("scripted", "scripted/player", lm, make_adapter(), free=True, meter=session.meter)
    session.writers[session.recipe.lm.writer] = scripted
    session.raw = ScriptedLM(np.ones((len(records), 4)), 0).write(instruction(0.0, 0))[0]
    session.settings = Settings(rounds=40, negatives=30)
    session.make_lists((FIT, TUNE_A, TUNE_B))
    return session, {name: write_task(session, name, lambda report: None) for name in ("about", "diner")}


def adversaries(folder: Path) -> list[dict]:
    """What becomes of PROMPTS, each the one challenger of a compile, and of texts of later events.

    Who does not pass *lite* is tested on tune-B all the same. `accepted` is the share of its texts that pass the gates.
    """
    session, tasks = game(folder)
    played = [{"prompt": "leaks the future", "honest": False, **_leak(session, tasks)}]
    played += [{"prompt": name, "honest": name == "knows", **_play(session, tasks, PROMPTS[name])} for name in PROMPTS]
    session.db.conn.close()
    return played


def _play(session, tasks: dict, words: str) -> dict:
    """A compile whose search proposes this instruction, as if it had dazzled the first sieve."""
    from unittest import mock

    from tokenrec.compiler import improve
    from tokenrec.compiler.promotion import decide_promotion
    from tokenrec.compiler.search import Proposal, Search
    from tokenrec.compiler.writing import generate_with, program_vectors
    from tokenrec.report.progress import Stages

    task = tasks["about"]
    before, program = (task.program_id, task.vectors), _with_words(task.program, words)
    found = Search([Proposal(program, 1.0)], 0.5, 100, "", challengers=1)
    with mock.patch.object(improve, "search", lambda *_: found):
        session.db.execute("delete from searches")
        session.db.execute("delete from looks")  # every prompt has the first, and its level
        made = improve.improve(session, tasks, "about", Stages(None), force=True)
    note, test = made.note, made.promotion
    report = generate_with(session, task.spec, program, task.judge, task.prompts, lambda report: None, current=False)
    vectors = program_vectors(session, task.spec, program, report)
    if not test:
        test = decide_promotion(session, "about", "item", before, (report.program_id, vectors), {}, 1)
    known = ~np.isnan(vectors[0].matrix).any(axis=1)
    return {
        "promoted": test.promoted, "accepted": round(float(known.mean()), 3), "delta": round(test.delta, 4),
        "p": round(test.p, 4), "alpha": test.alpha, "note": note,
    }  # fmt: skip


def _with_words(program, words: str):
    program = program.deepcopy()
    for _, predictor in program.named_predictors():
        predictor.signature = predictor.signature.with_instructions(words)
    return program


def _leak(session, tasks: dict) -> dict:
    """Texts about users, made from what they ate in the tune window, through generation to promotion."""
    from tokenrec.compiler.promotion import decide_promotion
    from tokenrec.compiler.writing import generate_with, program_vectors
    from tokenrec.dataset.types import HISTORY, TEST
    from tokenrec.errors import InputError
    from tokenrec.tasks.inputs import prompts

    task, e = tasks["diner"], session.dataset.events
    all_known = replace(e, window=np.where(e.window < TEST, HISTORY, TEST).astype(np.int8))
    late = list(prompts(session.recipe, replace(session.dataset, events=all_known), task.spec, {}))
    program = _with_words(task.program, "Tell what comes next.")
    report = generate_with(session, task.spec, program, task.judge, late, lambda report: None, current=False)
    vectors = program_vectors(session, task.spec, program, report)
    try:
        made = decide_promotion(
            session, "diner", "user", (task.program_id, task.vectors), (report.program_id, vectors), {}, 1
        )
    except InputError as refused:
        return {"promoted": False, "note": str(refused)}
    return {"promoted": made.promoted, "note": "not refused"}



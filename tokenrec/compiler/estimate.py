"""What the calls of a task will probably use: as its stored answers did, else by the length of its prompts."""

from dataclasses import dataclass

from tokenrec.generate.run import most_samples
from tokenrec.lm import plain
from tokenrec.lm.prices import cached_share, has_cache
from tokenrec.lm.writer import Writer
from tokenrec.store import completions as store
from tokenrec.tasks.inputs import Prompt
from tokenrec.tasks.spec import TaskSpec

CHARACTERS = 4  # of a prompt, to one LM token
ANSWER = 60  # LM tokens of a generated answer, while none is stored
RENDERED = 20  # prompts that are rendered for a guess


@dataclass(frozen=True)
class Estimate:
    """Means a record; `seconds` is None while nobody knows. `basis` says in words what they rest on.

    `cached`: the share of the prompt LM tokens that the provider will probably have in its cache.
    """

    calls: float
    prompt_tokens: float
    completion_tokens: float
    seconds: float | None
    basis: str
    cached: float = 0.0


def estimate(db, spec: TaskSpec, program, program_id: str, writer: Writer, prompts: list[Prompt]) -> Estimate:
    """What one of `prompts` will use. Nothing is asked."""
    if writer.replay:
        return Estimate(1, 0, 0, 0.0, "recorded answers, played back: no LM")
    lm = writer.lm_id + "#"
    times = most_samples(spec, writer) if spec.task.agreement else 1  # answers a record, whatever the gates say
    for pid, whose in ((program_id, "this program's"), (None, "the task's earlier programs'")):
        if means := store.used_a_record(db, spec.recipe, spec.name, lm, pid, answers=bool(spec.task.agreement)):
            calls, *tokens, seconds = (times * mean for mean in means)
            cached, said = _cached(writer, store.paid_for(db, spec.recipe, spec.name, lm, pid))
            return Estimate(max(calls, times), *tokens, seconds, f"mean of {whose} stored answers{said}", cached)
    shown = prompts[:: max(len(prompts) // RENDERED, 1)][:RENDERED]
    characters = sum(_characters(spec, program, writer, p) for p in shown) / max(len(shown), 1)
    answers, scored = _answers(spec, program, writer)
    answers, scored, characters = times * answers, times * scored, times * characters
    generated = answers * min(ANSWER, spec.task.max_tokens or ANSWER)
    said = f"a guess: prompt characters / {CHARACTERS}, {ANSWER} LM tokens an answer"
    if spec.task.use:
        said += f"; one call a record, since only {spec.task.use} knows how often it asks"
    said += _cached(writer, [])[1]
    return Estimate(answers + times * (scored > 0), characters / CHARACTERS, generated + scored, None, said)


def _cached(writer: Writer, paid: list[tuple]) -> tuple[float, str]:
    """(share of prompt LM tokens that cost less, what to say of it); nothing to say where no cache has a price."""
    if not has_cache(writer.price):
        return 0.0, ""
    share = cached_share(writer.price, paid)
    if share is None:
        return 0.0, "; the cost is an upper guess, as if the provider cached nothing"
    return share, f"; {share:.0%} of their prompt came from the provider's cache, by what they cost"


def _answers(spec: TaskSpec, program, writer: Writer) -> tuple[int, int]:
    """(texts generated, fields scored by likelihood) for one answer."""
    if spec.task.use:
        return 1, 0
    names = [name for name, _ in program.named_predictors()]
    return int("write" in names), len(spec.choices) if "choose" in names else 0


def _characters(spec: TaskSpec, program, writer: Writer, prompt: Prompt) -> int:
    """Length of everything that is sent for one record; a scored field sends the whole prompt."""
    if spec.task.use:
        return len(plain.block(prompt.inputs))
    total = 0
    for name, predictor in program.named_predictors():
        if name == "choose":
            head = plain.head(predictor.signature.instructions, [dict(d) for d in predictor.demos])
            questions = len(spec.choices) or 1 + str(prompt.inputs.get("sentences", "")).count("\n")  # of a judge: each
            total += questions * len(head + plain.block(prompt.inputs))
        else:
            messages = writer.adapter.format(predictor.signature, predictor.demos, dict(prompt.inputs))
            total += sum(len(str(m["content"])) for m in messages)
    return total

"""A stored answer, replayed through a program's own predictors: DSPy parses it, decides by weights and traces it."""

from typing import Any

import dspy
from dspy.lm15 import Message, Response, TextPart, Usage

from tokenrec.lm.writer import Writer
from tokenrec.tasks.program import decode, weights_of


class Player:
    """Stands in for the LM and the chooser while one answer is replayed."""

    supports_decision_requests = True
    model = "playback"

    def __init__(self, writer: Writer):
        self.writer = writer
        self.raw: str = ""
        self.probabilities: dict[str, dict[str, float]] = {}
        self.lm = dspy.LM("playback", engine=_Engine(self), cache=False, num_retries=0)

    def predict(self, program, raw: str | None, probabilities: dict | None, inputs: dict[str, Any]) -> dspy.Prediction:
        """The prediction that `program` makes of an answer; an empty one where there is none.

        Raises what DSPy raises for an answer that it can't read.
        """
        if raw is None:
            return dspy.Prediction()
        self.raw, self.probabilities = raw, probabilities or {}
        fields: dict[str, Any] = {}
        with dspy.context(adapter=self.writer.adapter):
            if hasattr(program, "choose"):
                fields |= dict(program.choose(lm=self, **inputs).items())
                self._told(program)
            if hasattr(program, "write"):
                fields |= dict(program.write(lm=self.lm, **inputs).items())
        return dspy.Prediction(**fields)

    def _told(self, program) -> None:
        """In the trace, which demonstrations are made of, a choice is the words that were decided: no likelihoods."""
        if not (trace := dspy.settings.trace):
            return
        spec, (predictor, inputs, _) = program.spec, trace[-1]
        words = {
            o: decode(spec.outputs[o], spec.choices[o], chances, weights_of(program, o))[0]
            for o, chances in self.probabilities.items()
        }
        trace[-1] = (predictor, inputs, dspy.Prediction(**words))

    def __deepcopy__(self, memo):
        return self

    def copy(self, **_):
        return self

    def dump_state(self) -> dict:
        return {"model": self.model}

    def __call__(self, state: dict, questions: dict[str, dict]) -> dict[str, Any]:
        """DSPy's decision request (see lm/embedded.py)."""
        answers = {}
        for name in questions:
            chances = self.probabilities[name]
            best = max(chances, key=chances.get)
            answers[name] = {"choice": best, "confidence": chances[best], "probabilities": chances}
        return answers


class _Engine:
    supports_response_schema = False
    supported_params = ()

    def __init__(self, player: Player):
        self.player = player

    def complete(self, request) -> Response:
        return Response(
            id=None, model="playback", message=Message.assistant([TextPart(self.player.raw or " ")]),
            finish_reason="stop", usage=Usage(input_tokens=0, output_tokens=0, total_tokens=0),
        )  # fmt: skip

    def close(self):
        pass

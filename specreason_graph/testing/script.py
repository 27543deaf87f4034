"""What a scripted model says: a function of the transcript alone, so resume, fork and concurrency change nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from specreason_graph.testing.resume import called, resumed
from specreason_graph.testing.tokenizer import CLOSE, THINK

BOUNDARY = "\n\n"
_BLANK_LINES = re.compile(r"\n{2,}")
_SURE = 0.9

Score = float | str | Mapping[str, float]
"""A verdict: probabilities of label texts, or the one label that gets 0.9; 7.4 is shared by "7" and "8"."""


@dataclass(frozen=True, slots=True)
class Script:
    """The full turn of a scripted model, and what it thinks of others' steps.

    Example:
        Script(["There are 3 cows.", ("3 * 4 = 12 legs.", "So 3 * 4 = 12.")], answer="12", scores=[9, 3])

    A step of an instruct model, or an answer, may hold calls of tools as the model spells them (Qwen's, DeepSeek's and
    Qwen3-Coder's are known). Where clients write parts of a call themselves, the script goes on behind those.

    Example:
        call = '<tool_call>\n{"name": "price", "arguments": {"of": "milk"}}\n</tool_call>'
        Script(["The price is not known."], answer=call, then=[Script(["It is 2."], answer="It costs 2.")])

    Raises:
        ValueError: a step holds a blank line, or a probability is none.
    """

    steps: Sequence[str | Sequence[str]] | Callable[[str], str]
    """Texts of the steps; a blank line is put between them. Of several wordings of one step the first is written,
    and a partial step that begins like another goes on like it: so a model can find a draft's wording likely.

    Or a function from the transcript (what stands behind the opening of the assistant's turn) to all that is still
    to come, control tokens spelled. It must go on consistently: with a piece of its own text behind the transcript
    it must give the rest of that text.
    """
    answer: str = "42"
    """Written behind `</think>` by thinking models; behind a cue that forces an answer by instruct models."""
    cue: str | None = None
    """Instruct models answer behind it. None: behind any partial step that begins no wording of the scripted step,
    which serves for answers without blank lines."""
    confidence: float | Callable[[str, str], float] = _SURE
    """Probability of each scripted token, or a function of the transcript before it and its text. It must stay the
    likeliest token; what it leaves is spread over the vocabulary."""
    alternatives: Mapping[str, float] | Callable[[str], Mapping[str, float]] = field(default_factory=dict)
    """Probabilities of other tokens (by text, of which the first token counts), or a function of the transcript."""
    scores: Sequence[Score] | Callable[[str], Mapping[str, float]] = ()
    """Verdict on each step by its index, 9 where there is none; or a function of the whole judge prompt."""
    judge_mark: str = ""
    """Text that tells a judge's request from a later question; "" takes any user turn behind an assistant's. Only
    instruct models need it: the others know a judge's request by the reasoning before it."""

    then: Sequence[Script] = ()
    """What it says behind the first, second, … turn of tools' results since the last question; the last one for all
    that come later."""
    result_marks: Sequence[str] = ("<tool_response>", "Result of ")
    """What a user's turn of tools' results may begin with; turns of the role `tool` are results, too."""
    asked: Callable[[str], Script] | None = None
    """What it says to a question, by its text; None says this to all."""

    def __post_init__(self) -> None:
        for wording in () if callable(self.steps) else (w for step in self.steps for w in _wordings(step)):
            if not wording.strip() or BOUNDARY in wording:
                raise ValueError(f"a step is some text without a blank line, not {wording!r}")
        if not callable(self.confidence) and not 0 < self.confidence <= 1:
            raise ValueError(f"confidence is a probability above 0, not {self.confidence}")

    def to(self, question: str) -> Script:
        """The script of a question."""
        return self if self.asked is None else self.asked(question)

    def behind(self, results: int) -> Script:
        """The script of a turn, by how many turns of tools' results are before it."""
        return self.then[min(results, len(self.then)) - 1] if results and self.then else self

    def rest(self, transcript: str, *, thinking: bool, opens: bool) -> str:
        """All that is still to come behind a transcript, up to the end of turn.

        Args:
            transcript: what stands behind the opening of the assistant's turn.
            thinking: whether the model closes its reasoning with `</think>` before it answers.
            opens: whether it also has to open it.
        """
        if callable(self.steps):
            return self.steps(transcript)
        opening = f"{THINK}\n" if opens else ""
        if opening and opening.startswith(transcript):
            return opening[len(transcript) :] + self._reasoning(self.steps, "", thinking)
        steps = BOUNDARY.join(_wordings(step)[0] for step in self.steps)
        texts = [f"{steps}{CLOSE}{BOUNDARY}{self.answer}"] if thinking else [steps, self.answer]
        mark = CLOSE if thinking else self.cue
        if mark and mark in transcript:
            said, answer = transcript.rpartition(mark)[2], BOUNDARY + self.answer if thinking else self.answer
            left = called(said, [answer, *texts])
            return resumed(answer, said) if left is None else left
        left = called(transcript, texts)
        if left is not None:
            return left
        return self._reasoning(self.steps, transcript.removeprefix(opening), thinking)

    def odds(self, transcript: str, token: str) -> tuple[float, Mapping[str, float]]:
        """Probability of the scripted token behind a transcript, and of its named alternatives."""
        sure = self.confidence(transcript, token) if callable(self.confidence) else self.confidence
        return sure, self.alternatives(transcript) if callable(self.alternatives) else self.alternatives

    def verdict(self, prompt: str, judged: str) -> Mapping[str, float]:
        """Probabilities of the labels behind a judge's prompt.

        Args:
            prompt: all of it, control tokens spelled.
            judged: the transcript whose last step is judged.
        """
        if callable(self.scores):
            return self.scores(prompt)
        step = max(0, _count(_BLANK_LINES.split(judged.removeprefix(f"{THINK}\n"))) - 1)
        score = self.scores[step] if step < len(self.scores) else 9
        if isinstance(score, Mapping):
            return score
        if isinstance(score, str):
            return {score: _SURE}
        low, part = math.floor(score), score - math.floor(score)
        return {str(low): _SURE * (1 - part)} | ({str(low + 1): _SURE * part} if part else {})

    def _reasoning(self, steps: Sequence[str | Sequence[str]], transcript: str, thinking: bool) -> str:
        *before, partial = _BLANK_LINES.split(transcript)
        step = _count(before)
        ending = f"{CLOSE}{BOUNDARY}{self.answer}" if thinking else ""
        later = [_wordings(later)[0] for later in steps[step + 1 :]]
        behind = BOUNDARY + BOUNDARY.join(later) + ending if later else ending
        for wording in _wordings(steps[step]) if step < len(steps) else [""]:
            if (wording + behind).startswith(partial):
                return (wording + behind)[len(partial) :]
        if not thinking and not self.cue:
            return resumed(self.answer, partial)
        return resumed(_wordings(steps[step])[0] + behind if step < len(steps) else behind, partial)


def _wordings(step: str | Sequence[str]) -> Sequence[str]:
    return [step] if isinstance(step, str) else step


def _count(steps: Sequence[str]) -> int:
    return sum(1 for step in steps if step.strip())

"""A scripted model: next-token distributions that depend on the prompt's ids alone."""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from specreason_graph.testing.resume import resumed
from specreason_graph.testing.script import Script
from specreason_graph.testing.structure import Structure
from specreason_graph.testing.template import TemplateName, Turn, turns
from specreason_graph.testing.tokenizer import END_OF_TURN, THINK, ByteTokenizer
from specreason_graph.testing.wording import continued, decoded

_SURE = 0.9
_LOWEST = -9999.0  # what vLLM writes for minus infinity, which JSON lacks


@dataclass(frozen=True, slots=True)
class Odds:
    """The distribution of one token: a few named ids, and the same probability for every other one."""

    named: dict[int, float]
    other: float
    fillers: Sequence[int]
    """Ids that top-k lists name after the named ones."""

    def logprob(self, token: int) -> float:
        """Natural log of a token's probability."""
        probability = self.named.get(token, self.other)
        return math.log(probability) if probability > 0 else _LOWEST

    def top(self, count: int) -> list[int]:
        """The likeliest ids, most likely first."""
        fillers = [i for i in self.fillers[: count + len(self.named)] if i not in self.named]
        return sorted([*self.named, *fillers], key=self.logprob, reverse=True)[:count]


class ScriptedModel:
    """Says a script in the ids of a tokenizer. Sampling is ignored: it says the script at any temperature."""

    def __init__(
        self, tokenizer: ByteTokenizer, template: TemplateName, script: Script, *, knows_tools: bool = True
    ) -> None:
        self.tokenizer = tokenizer
        self.template = template
        self.script = script
        self.knows_tools = knows_tools
        self.end_of_turn = tokenizer.id(END_OF_TURN)
        high = tokenizer.byte_ids[0x80:]  # no text begins with these, so they are nobody's label
        self._fillers = [*high, *(token for token in range(len(tokenizer.spelling)) if token not in high)]

    def speak(self, prompt: Sequence[int], structure: Structure | None = None) -> Iterator[tuple[int, Odds]]:
        """The ids that come behind a prompt, up to the end of turn, each with the distribution it comes from.

        Raises:
            ValueError: the script's probabilities are not those of a token that is the likeliest.
        """
        *before, last = turns(self.tokenizer, prompt)
        judged = self._judged(before)
        asked = before if judged is None else before[:-1]
        script = self.script.to(self._question(asked)).behind(self._results(asked))
        if judged is None:
            yield from self._write(script, last.content, structure)
        else:
            labels = script.verdict(decoded(self.tokenizer.spell(prompt))[0], decoded(judged)[0])
            yield from self._judge(labels, last.content)

    def _results(self, before: Sequence[Turn]) -> int:
        """How many turns of tools' results there are since the last question; results in a row are one."""
        count, results = 0, False
        for turn in reversed(before):
            if self._is_result(turn):
                count += not results
                results = True
            elif turn.role == "user":
                break
            else:
                results = False
        return count

    def _question(self, before: Sequence[Turn]) -> str:
        """The last question's text."""
        asked = (turn for turn in reversed(before) if turn.role == "user" and not self._is_result(turn))
        return next((decoded(turn.content)[0] for turn in asked), "")

    def _is_result(self, turn: Turn) -> bool:
        marks = tuple(mark.encode() for mark in self.script.result_marks)
        return turn.role == "tool" or (turn.role == "user" and turn.content.startswith(marks))

    def _judged(self, before: Sequence[Turn]) -> bytes | None:
        """The transcript that the last user turn asks about, if it is a judge's request.

        A thinking model is asked about reasoning; of an earlier answer, the template has dropped it.
        """
        match before:
            case [*_, Turn("assistant", transcript), Turn("user", request)] if not self._is_result(before[-1]):
                reasons = self.template == "instruct" or transcript.startswith(THINK.encode())
                return transcript if reasons and self.script.judge_mark in decoded(request)[0] else None
        return None

    def _write(self, script: Script, content: bytes, structure: Structure | None) -> Iterator[tuple[int, Odds]]:
        said, pending = decoded(content)
        if self.template == "think":
            said = said.removeprefix(f"{THINK}\n")
        rest = script.rest(said, thinking=self.template != "instruct", opens=self.template == "qwen3")
        if structure is not None:
            rest = structure.kept(rest.removesuffix(END_OF_TURN))
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        transcript = said + decoder.decode(pending)
        for token in continued(self.tokenizer, said, pending, rest.removesuffix(END_OF_TURN) + END_OF_TURN):
            raw = self.tokenizer.spelling[token]
            sure, others = script.odds(transcript, raw.decode(errors="replace"))
            yield token, self._odds({token: sure}, others)
            transcript += decoder.decode(raw)

    def _judge(self, labels: Mapping[str, float], prefill: bytes) -> Iterator[tuple[int, Odds]]:
        best = max(labels, key=lambda label: labels[label], default="")
        left = self.tokenizer.encode(resumed(best, decoded(prefill)[0]))
        if left == self.tokenizer.encode(best):
            odds = self._odds({}, labels)
            yield odds.top(1)[0], odds
            left = left[1:]
        for token in [*left, self.end_of_turn]:
            yield token, self._odds({token: _SURE}, {})

    def _odds(self, scripted: Mapping[int, float], others: Mapping[str, float]) -> Odds:
        named = dict(scripted)
        for text, probability in others.items():
            token = self.tokenizer.encode(text)[0]
            if token not in scripted:
                named[token] = named.get(token, 0.0) + probability
        left = 1.0 - sum(named.values())
        odds = Odds(named, max(0.0, left) / (len(self.tokenizer.spelling) - len(named)), self._fillers)
        if left < -1e-9 or any(odds.top(1) != [token] for token in scripted):
            raise ValueError(f"a scripted token needs the largest share of 1: it has {scripted}, others have {others}")
        return odds

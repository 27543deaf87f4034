"""The reply as LangChain knows it: the answer as text, the reasoning beside it, what it took behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from langchain_core.messages import AIMessage, InvalidToolCall, ToolCall
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata

from specreason_graph.contract.events import Event
from specreason_graph.contract.settings import Role, Settings
from specreason_graph.contract.state import Ended, Step, UsageByRole
from specreason_graph.loop.report import acceptance, draft_share
from specreason_graph.models.conversation import REASONING
from specreason_graph.models.presets import Preset

Finish = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer, and how it came to its end."""

    text: str
    tokens: int
    """That the model wrote for it, and for the calls."""
    finish: Finish
    calls: Sequence[ToolCall] = ()
    invalid: Sequence[InvalidToolCall] = ()
    """Calls that were cut, or are not of their tool's schema."""
    whole: bool = False
    """Whether it came to its own end, with nothing left out of it."""


def until(text: str, stops: Sequence[str]) -> str:
    """A text up to the first of some stops that it holds."""
    return text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]


@dataclass(slots=True)
class Told:
    """A text told in pieces, without the blanks around it, up to a stop.

    What may be the beginning of a stop, or a blank at the end, is told when more text follows.
    """

    held: str = ""
    """Told before the first piece that is not blank."""
    stops: Sequence[str] = ()
    begun: bool = False
    """Whether a piece that is not blank has come."""
    over: bool = False
    _said: bool = False
    _added: int = 0

    def add(self, piece: str) -> str:
        """The next piece that can be told."""
        text = self.held + piece
        self._added += len(piece)
        if self.over or not (self.begun or piece.strip()):
            self.held = text
            return ""
        self.begun = True
        kept = until(text, self.stops)
        self.over = len(kept) < len(text)
        safe = kept if self.over else kept[: len(kept) - begun_stop(kept, self.stops)]
        return self._tell(safe, kept)

    def rest(self, kept: int) -> str:
        """What is left when no more comes, and so many characters of what was added are kept."""
        held = self.held[: len(self.held) - max(0, self._added - kept)]
        return "" if self.over or not self.begun else self._tell(held, held)

    def _tell(self, safe: str, kept: str) -> str:
        told = safe.rstrip()
        self.held = kept[len(told) :]
        if not told:
            return ""
        told, self._said = (told if self._said else told.lstrip()), True
        return told


def begun_stop(text: str, stops: Sequence[str]) -> int:
    """How many of a text's last characters may be the beginning of a stop."""
    ends = (
        size for stop in stops for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])
    )
    return max(ends, default=0)


@dataclass(slots=True)
class Pieces:
    """A run's events as pieces of its reply; joined they are its reasoning and its answer."""

    last_step_waits: bool
    """A step that may turn out to be the answer is told when another one follows."""
    _waiting: str = ""
    _reasoning: Told = field(default_factory=Told)

    @classmethod
    def behind(cls, steps: Sequence[Step], *, last_step_waits: bool) -> Pieces:
        """Those that follow where some steps were told before."""
        pieces = cls(last_step_waits)
        for step in steps:
            pieces.of({"event": "step_accepted", "step": step})
        return pieces

    def of(self, event: Event) -> tuple[str, str]:
        """What an event adds to the reasoning, and to the answer."""
        match event["event"]:
            case "step_accepted" | "step_regenerated" | "step_edited":
                text = event["step"]["text"]
                ready, self._waiting = (self._waiting, text) if self.last_step_waits else (text, "")
            case "reasoning_ended" if event["ended"] != "finished":
                ready, self._waiting = self._waiting, ""
            case "answer_token":
                return "", event["text"]
            case _:
                return "", ""
        return self._reasoning.add(ready), ""


def answers_in_last_step(preset: Preset, settings: Settings) -> bool:
    """Whether a reasoning that was finished has the answer in its last step, and not in a phase of its own."""
    in_the_open = preset.kind == "instruct" and not preset.wording(settings.boxed).close
    return in_the_open and settings.answer_schema is None


def reply(
    steps: Sequence[Step],
    usage: UsageByRole,
    seconds: float,
    models: Mapping[Role, str],
    ended: Ended,
    reasoning: str,
    answer: Answer,
) -> AIMessage:
    """The message that a run gives; the answer's tokens are part of the run's usage already."""
    accepted, judged = acceptance(steps)
    return AIMessage(
        content=answer.text,
        tool_calls=list(answer.calls),
        invalid_tool_calls=list(answer.invalid),
        additional_kwargs={REASONING: reasoning} if reasoning else {},
        usage_metadata=usage_metadata(usage, answer.tokens),
        response_metadata={
            "model_name": models.get("base", ""),
            "model_provider": "specreason",
            "finish_reason": answer.finish,
            "specreason": {
                "models": dict(models),
                "ended": ended,
                "steps": len(steps),
                "acceptance_rate": accepted / judged if judged else None,
                "draft_share": draft_share(steps),
                "without_draft": sum(step["gate"]["why"] == "draft_gone" for step in steps),
                "seconds": seconds,
                "usage": usage,
                "answer_tokens": answer.tokens,
                "reasoning_tokens": sum(len(step["ids"]["base"]) for step in steps),
            },
        },
    )


def usage_metadata(usage: UsageByRole, answer_tokens: int) -> UsageMetadata:
    """All that the models of a run have read and written; what is not the answer was written for the reasoning."""
    read = sum(role["prompt_tokens"] for role in usage.values())
    written = sum(role["completion_tokens"] for role in usage.values())
    cached = [role["cached_tokens"] for role in usage.values()]
    known = [tokens for tokens in cached if tokens is not None]
    return UsageMetadata(
        input_tokens=read,
        output_tokens=written,
        total_tokens=read + written,
        input_token_details=InputTokenDetails(cache_read=sum(known)) if known == cached else InputTokenDetails(),
        output_token_details=OutputTokenDetails(reasoning=max(0, written - answer_tokens)),
    )

"""The reply as LangChain knows it: the answer as text, the reasoning beside it, what it took behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata

from specreason_graph.contract.events import Event
from specreason_graph.contract.settings import Role, Settings
from specreason_graph.contract.state import Ended, UsageByRole
from specreason_graph.loop.report import acceptance
from specreason_graph.loop.run import Run
from specreason_graph.models.presets import Preset


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer, and how it came to its end."""

    text: str
    tokens: int
    finish: Literal["stop", "length"]


@dataclass(slots=True)
class Trimmed:
    """A text told in pieces, without the blanks around it; what is `held` at first is told when some text follows."""

    held: str = ""
    begun: bool = False

    def add(self, piece: str) -> str:
        """The next piece that can be told."""
        text = self.held + piece
        if not piece.strip():
            self.held = text
            return ""
        told = (text if self.begun else text.lstrip()).rstrip()
        self.held, self.begun = text[len(text.rstrip()) :], True
        return told


@dataclass(slots=True)
class Pieces:
    """A run's events as pieces of its reply; joined they are its reasoning and its answer."""

    last_step_waits: bool
    """A step that may turn out to be the answer is told when another one follows."""
    _waiting: str = ""
    _reasoning: Trimmed = field(default_factory=Trimmed)

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
    return preset.kind == "instruct" and settings.answer_schema is None


def reply(run: Run, models: dict[Role, str], ended: Ended, reasoning: str, answer: Answer) -> AIMessage:
    """The message that a run gives; the answer's tokens are part of the run's usage already."""
    accepted, judged = acceptance(run.steps)
    return AIMessage(
        content=answer.text,
        additional_kwargs={"reasoning_content": reasoning} if reasoning else {},
        usage_metadata=usage_metadata(run.usage, answer.tokens),
        response_metadata={
            "model_name": models["base"],
            "model_provider": "specreason",
            "finish_reason": answer.finish,
            "specreason": {
                "models": models,
                "ended": ended,
                "steps": len(run.steps),
                "acceptance_rate": accepted / judged if judged else None,
                "seconds": run.seconds(),
                "usage": run.usage,
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
        output_token_details=OutputTokenDetails(reasoning=written - answer_tokens),
    )

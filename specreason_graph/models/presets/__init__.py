"""Presets and judges: data files, one each. Nothing else in the code asks which pair it runs on.

To add one, drop a TOML file beside the others, or build a `Preset`/`Judge` and pass it to `create_specreason`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from specreason_graph.contract.settings import ScoreMethod, Settings
from specreason_graph.endpoint.protocol import Sampling
from specreason_graph.models.tool_format import ToolFormat, as_tool_format, builtin_formats


class Judge(BaseModel):
    """What base is asked about a step, and which of it is the score: a label, or the likelihood of its tokens.

    Both can be asked at once, in one request: a judge of labels with `spots`, or one of likelihood with a `request`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str = Field(description="Where the wording and the numbers come from")
    kind: Literal["labels", "likelihood"]
    threshold: float
    request: str = Field(default="", description="The user turn that asks for a label")
    prefill: str = Field(default="", description="How base's reply begins; {open} is the preset's think marker")
    labels: tuple[str, ...] = Field(default=(), description="Worst first; each must be one token behind the prefill")
    method: ScoreMethod = "greedy"
    spots: int = Field(default=0, ge=0, description="At how many of the draft's least sure tokens base is asked")
    sure: float = Field(
        default=0.0, le=0, description="Log-probability above which the draft is sure of a token, and base is not asked"
    )
    lowest: int = Field(
        default=1,
        ge=1,
        description="Of how many of the asked tokens, those that base finds least likely, the score is the mean",
    )
    end_threshold: float = Field(
        default=-2.0,
        le=0,
        description="Log-probability that base must give the end of the reasoning, where the draft ends it with no "
        "step that a label could be put on",
    )

    @model_validator(mode="after")
    def _asks_for_its_score(self) -> Self:
        if bool(self.request) != (len(self.labels) > 1):
            raise ValueError("a request goes with two labels or more, and labels with a request")
        if not (self.labels if self.kind == "labels" else self.spots):
            raise ValueError(f"a judge of kind {self.kind!r} needs {'labels' if self.kind == 'labels' else 'spots'}")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest threshold that means anything."""
        return (0.0, len(self.labels) - 1.0) if self.kind == "labels" else (float("-inf"), 0.0)


class Wording(NamedTuple):
    """What a pair is told about one question, and how its reasoning becomes an answer."""

    prompt: str
    """The user turn; {question} is what was asked."""
    answer_cue: str
    """Put behind the reasoning to have the answer written."""
    close: str
    """What closes the reasoning; empty: one that ends its turn has answered in its last step."""


class Preset(BaseModel):
    """How a pair reasons."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str = Field(description="Where the numbers come from")
    kind: Literal["thinking", "instruct"] = Field(description="Think block then answer, or reasoning in the open")
    base: str = Field(default="", description="Part of the base model's name, for finding the preset; * is any text")
    draft: str = Field(default="", description="Part of the draft model's name")
    prompt: str = Field(default="{question}", description="The user turn; {question} is what was asked")
    tools_prompt: str = Field(default="", description="The user turn where tools may be called; empty: as `prompt`")
    result_prompt: str = Field(
        default="{result}",
        description="The last of some results, where more tools may be called; {result} is what it says",
    )
    boxed_prompt: str = Field(default="", description="The user turn that asks for \\boxed{}; empty: as `prompt`")
    boundary: str = "\n\n"
    open: str = Field(default="", description="Opens the reasoning, where the chat template does not")
    close: str = Field(
        default="",
        description="Closes the reasoning: one token of thinking models, a text at a line's beginning of instruct ones",
    )
    answer_cue: str = Field(description="Put behind reasoning to have the answer written")
    boxed_cue: str = Field(default="", description="The same behind `boxed_prompt`; empty: as `answer_cue`")
    judge: str = "paper"
    threshold: float | None = Field(default=None, description="None takes the judge's own")
    policy: str | None = Field(default=None, description="Fitted policy of this pair; None: threshold on the score")
    template: dict[str, bool | str] = Field(default_factory=dict, description="Variables of the chat template")
    tool_format: Annotated[ToolFormat, BeforeValidator(as_tool_format)] = Field(
        default=builtin_formats()["hermes"], description="How base spells a tool call: a format, or the name of one"
    )
    tool_words: str = Field(
        default="You may call tools. They are, as JSON:\n{tools}\n\nTo call one, write exactly this, and wait for the "
        "result:\n{call}",
        description="What tells a model of tools whose chat template can't; {tools} and {call} are theirs",
    )
    sees: bool | None = Field(
        default=None, description="Whether its models take images, as a chat model's profile says; None: not known"
    )
    image_words: str = Field(
        default="",
        description="What a draft that takes no images is told in an image's place; empty: such a draft is refused",
    )
    keep_reasoning: Literal["turn", "always", "never"] = Field(
        default="turn",
        description="How long earlier reasoning stays before the models: `turn` is up to the user's next message",
    )
    temperature: float = 0.6
    top_p: float = 0.95

    def wording(self, boxed: bool, *, tools: bool = False) -> Wording:
        """What is asked and how it is answered; `boxed` is for graded problems, where instruct models close nothing."""
        if not (boxed and self.boxed_prompt):
            prompt = (tools and self.tools_prompt) or self.prompt
            return Wording(prompt, self.answer_cue, self.close)
        close = self.close if self.kind == "thinking" else ""
        return Wording(self.boxed_prompt, self.boxed_cue or self.answer_cue, close)

    def goes_on_behind(self, *, calls: bool) -> bool:
        """Whether another run may begin behind a reply with its reasoning, one with calls or one without."""
        return self.keep_reasoning == "always" or (self.keep_reasoning == "turn" and calls)

    def cue(self, schema: Mapping[str, Any] | None, *, boxed: bool, calls: bool = False) -> str:
        """What has the answer begin: it closes the reasoning of thinking models, and tells all of a schema."""
        if calls and self.kind == "instruct":
            return ""
        if schema is None:
            return self.wording(boxed).answer_cue
        close = self.answer_cue if self.kind == "thinking" else "\n"
        return f"{close}The answer as JSON that satisfies this schema: {json.dumps(schema)}\n\n"

    def sampling(self, settings: Settings, seed: int) -> Sampling:
        """How tokens are drawn: a run's own temperature and top_p, else the preset's."""
        return Sampling(
            temperature=self.temperature if settings.temperature is None else settings.temperature,
            top_p=self.top_p if settings.top_p is None else settings.top_p,
            seed=seed,
        )

"""What one run may choose: the graph's `context_schema`, and the form in LangGraph Studio.

Addresses and keys are not here (see `config.py`): a run may only *name* a configured pair.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from specreason_graph.contract.errors import ConfigError, checked
from specreason_graph.contract.schema import check_schema
from specreason_graph.contract.tools import CHOICES, Tool, name_of

ScoreMethod = Literal["greedy", "mean", "median"]
Role = Literal["base", "draft"]
ROLES: tuple[Role, ...] = ("base", "draft")
GateMode = Literal["auto", "always", "never"]
MAX_STEPS = 5000
KEY = "specreason"
"""Where the context of a parent graph has the loop's settings."""


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    check_schema(schema)
    return schema


Score = Annotated[float, Field(ge=-30, le=9)]


class Settings(BaseModel):
    """Knobs of one run; `None` takes the preset's value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pair: str = Field(default="default", description="Name of the configured pair of models that runs")
    preset: str | None = Field(
        default=None,
        description="How the pair's reasoning opens, steps and closes; None finds it by model name",
    )
    judge: str | None = Field(
        default=None,
        description="Judge: `paper` (score 0-9), `yes-no`, `strict`, `likelihood` or `lenient`; None: the preset's",
    )
    policy: str | None = Field(
        default=None,
        description="`threshold` on the judge's score, or the name of a fitted policy; None: the preset's",
        json_schema_extra={"langgraph_nodes": ["judge"]},
    )
    threshold: float | None = Field(
        default=None,
        ge=-30,
        le=9,
        description="A step is accepted at or above it: a score, a log-probability or a fitted probability",
        json_schema_extra={"langgraph_nodes": ["judge"]},
    )
    score_method: ScoreMethod | None = Field(
        default=None,
        description="What becomes of the label distribution: likeliest label, mean, or median",
        json_schema_extra={"langgraph_nodes": ["judge"]},
    )
    spots: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="At how many of the draft's least sure tokens base is asked how likely it finds them",
        json_schema_extra={"langgraph_nodes": ["judge"]},
    )
    ask_band: tuple[Score, Score] | None = Field(
        default=None,
        description="Lowest and highest score, in the threshold's units, at which a person is asked instead; needs a "
        "checkpointer",
        json_schema_extra={"langgraph_nodes": ["judge"]},
    )
    first_steps: int = Field(default=0, ge=0, description="The first n steps are written by base (paper, section 4.2)")
    base_steps_after_reject: int = Field(
        default=1,
        ge=1,
        description="How many steps base writes in a row after a reject, the rejected one included",
    )
    reasoning_budget: int = Field(
        default=8192, ge=1, description="Tokens of kept reasoning before the answer is forced"
    )
    answer_budget: int = Field(default=1024, ge=1, description="Tokens of the answer")
    turn_reasoning_budget: int | None = Field(
        default=None,
        ge=0,
        description="Tokens of kept reasoning behind one message of the user, over all runs between tool calls",
    )
    step_tokens: int = Field(default=512, ge=1, description="Tokens of one step before it is cut")
    max_steps: int = Field(default=500, ge=1, le=MAX_STEPS, description="Kept steps before the answer is forced")
    loop_detection: bool = Field(
        default=True,
        description="Stop what goes in circles: steps told again and again, and a step or an answer that tells "
        "one phrase on and on",
    )
    deadline: float | None = Field(
        default=None,
        gt=0,
        description="Active seconds of the run, answer included; time between resumes does not count",
    )
    answer_reserve: float = Field(
        default=10.0,
        ge=0,
        description="Seconds of the deadline kept for the answer; only used with a deadline",
    )
    temperature: float | None = Field(default=None, ge=0, le=2, description="Sampling temperature; 0 is greedy")
    top_p: float | None = Field(default=None, gt=0, le=1, description="Nucleus sampling")
    seed: int = Field(default=0, ge=0, description="Seed of the run; each request derives its own from it")
    look_ahead: bool | None = Field(
        default=None,
        description="The draft goes on with the next step while base judges one; None: where the servers allow it",
    )
    hedge: bool | None = Field(
        default=None,
        description="Base begins its own version of a step with the draft, in case of a reject; None: where the "
        "servers allow it",
    )
    hedges: int = Field(
        default=32, ge=0, description="Hedges of all runs together; past base's batch they would make other runs wait"
    )
    gate: GateMode = Field(
        default="auto",
        description="Before each step: `auto` drafts where that pays at the load of now, `always` drafts, `never` has "
        "base write alone",
    )
    degrade: bool = Field(
        default=True,
        description="Go on with base alone where the draft's server fails, and reject where a judge's answer can't be "
        "read; off: these are errors",
    )
    answer_by: Role = Field(default="base", description="Which model writes the answer")
    answer_schema: Annotated[dict[str, Any], AfterValidator(_schema)] | None = Field(
        default=None,
        description="JSON schema that the answer has to satisfy; it is then always written in a phase of its own",
        json_schema_extra={"langgraph_nodes": ["finalize"]},
    )
    answer_stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(),
        max_length=4,
        description="Texts that end the answer and are left out of it; the reasoning may hold them",
        json_schema_extra={"langgraph_nodes": ["finalize"]},
    )

    tools: tuple[Tool, ...] = Field(
        default=(),
        description="Tools that base may call in place of an answer: LangChain tools, functions, pydantic models, or "
        "OpenAI's dicts. Both models know them while they reason",
        json_schema_extra={"langgraph_nodes": ["finalize"]},
    )
    tool_choice: str = Field(
        default="auto",
        description="`auto`: an answer or calls, as base likes; `none`: an answer; `required`: calls; or a tool's name",
        json_schema_extra={"langgraph_nodes": ["finalize"]},
    )
    parallel_tool_calls: bool = Field(
        default=True,
        description="Whether one reply may hold several calls",
        json_schema_extra={"langgraph_nodes": ["finalize"]},
    )
    boxed: bool = Field(
        default=False, description="Ask for the final answer within \\boxed{}, as graded problems need it"
    )

    @model_validator(mode="after")
    def _tools_that_can_be_called(self) -> Self:
        names = [name_of(tool) for tool in self.tools]
        if len(set(names)) < len(names):
            raise ValueError(f"tools: two have one name ({', '.join(sorted(names))})")
        if self.tool_choice not in (*CHOICES, *names):
            known = ", ".join((*CHOICES, *names))
            raise ValueError(f"tool_choice: there is no tool {self.tool_choice!r}; take one of {known}")
        if self.tool_choice == "required" and not names:
            raise ValueError("tool_choice: required, but there are no tools")
        if names and self.answer_by == "draft":
            raise ValueError("answer_by: tools are called by base; leave it at `base`, or leave the tools out")
        return self

    @model_validator(mode="after")
    def _room_for_reasoning(self) -> Self:
        if self.deadline is not None and self.answer_reserve >= self.deadline:
            raise ValueError(f"answer_reserve {self.answer_reserve:g} s leaves nothing of deadline {self.deadline:g} s")
        return self

    @model_validator(mode="after")
    def _a_band_from_low_to_high(self) -> Self:
        if self.ask_band is not None and self.ask_band[0] > self.ask_band[1]:
            raise ValueError(f"ask_band {self.ask_band} must begin with the lower score")
        return self

    @property
    def callable_tools(self) -> tuple[str, ...]:
        """Names of the tools that the reply may call."""
        names = tuple(map(name_of, self.tools)) if self.tool_choice != "none" else ()
        return (self.tool_choice,) if self.tool_choice in names else names

    def overridden(self, by: Settings | Mapping[str, Any] | None) -> Settings:
        """These settings with others on top, knob by knob.

        Raises:
            ConfigError: a value is impossible, or there is no such setting; the message names it.
        """
        if by is None:
            return self
        if type(by) is Settings and not self._chosen():  # looked at already; every node of a run comes here
            return by
        return checked(Settings, {**self._chosen(), **(by._chosen() if isinstance(by, Settings) else by)})

    def _chosen(self) -> dict[str, Any]:
        """What was set outright, or by the defaults of a subclass; what else a subclass has is not ours."""
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        ours = Settings.model_fields
        chosen = [name for name in ours if name in self.model_fields_set or defaults[name] != ours[name].default]
        return {name: getattr(self, name) for name in chosen}


def settings_in(context: object) -> Settings | Mapping[str, Any] | None:
    """What a graph's context says to the loop: itself if it is `Settings`, else what it has at `specreason`.

    Args:
        context: of the loop's own graph, or of one around it: a mapping, a dataclass, a pydantic model, or nothing.

    Raises:
        ConfigError: there is something else at `specreason`.
    """
    if isinstance(context, Settings):
        return context
    found = context.get(KEY) if isinstance(context, Mapping) else getattr(context, KEY, None)
    if found is None or isinstance(found, Settings | Mapping):
        return found
    raise ConfigError(f"{KEY}: in a context it is Settings or a mapping of them, not {type(found).__name__}")

"""SpecReason as a LangChain chat model: reasoning blocks, an answer or calls, and the whole loop behind one call."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Literal, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput, ModelProfile
from langchain_core.load.serializable import SerializedConstructor, SerializedNotImplemented
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from pydantic import BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from specreason_graph.contract.errors import ConfigError, in_one_line
from specreason_graph.contract.settings import Settings
from specreason_graph.models.defaults import default_pairs
from specreason_graph.models.pair import Pair
from specreason_graph.models.presets import Judge, Preset
from specreason_graph.use.answer_schema import as_json_schema, for_traces, parsed
from specreason_graph.use.arguments import as_settings, choice_of, places_of
from specreason_graph.use.background import iterate, wait_for
from specreason_graph.use.identity import cache_key
from specreason_graph.use.portable import constructor, remade
from specreason_graph.use.profile import profile_of
from specreason_graph.use.runs import Runs
from specreason_graph.use.traced_calls import TracedCalls

_THE_PAIR = {"pair", "pairs", "presets", "judges", "policies"}


def _texts(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


class ChatSpecReason(TracedCalls):
    """A draft and a base model as one chat model.

    The answer is the message's text, or its `tool_calls`; the reasoning is in `additional_kwargs["reasoning_content"]`,
    and in `content_blocks`. `usage_metadata` is what all models read and wrote; `response_metadata` has `model_name`
    (base's), `finish_reason`, and under `specreason` the acceptance rate, why the reasoning ended, and usage by role.
    Any setting may be bound or given to a call: `model.bind(threshold=8)`, `model.invoke(…, reasoning_budget=2000)`.

    Callbacks are told each request's usage by the model that answered it, and the reply without one: so they add up.
    Copies share the pair. `pickle` and `langchain_core.load` take a model whose pair is of the environment.

    Example:
        model = ChatSpecReason(settings=Settings(reasoning_budget=2000))
        print(model.invoke("How many legs have 3 cows?").text)
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    pair: Pair | None = Field(default=None, exclude=True, description="The models; None: those of the environment")
    pairs: Mapping[str, Pair] = Field(default_factory=dict, exclude=True, description="More, for `settings.pair`")
    settings: Settings = Field(default=Settings(), description="Of every call, where it sets nothing else")
    temperature: float | None = Field(default=None, description="Shorthand for that of the settings")
    max_tokens: int | None = Field(default=None, description="Shorthand for `answer_budget`; the reasoning has its own")
    stop: Annotated[list[str] | None, BeforeValidator(_texts)] = Field(
        default=None, description="Shorthand for `answer_stop`"
    )
    streaming: bool = Field(default=False, description="Whether `invoke` streams to callbacks, too")
    presets: Sequence[Preset] = ()
    judges: Sequence[Judge] = ()
    policies: Sequence[Any] = ()  # `NamedPolicy`, a protocol that pydantic can't check
    _runs: Runs = PrivateAttr()
    _of_environment: bool = PrivateAttr()
    _own_profile: ModelProfile = PrivateAttr()

    def __init__(self, **values: Any) -> None:
        if unknown := [name for name in values if name not in type(self).model_fields]:
            raise ConfigError(places_of(unknown))
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise in_one_line(error, type(self)) from None

    @model_validator(mode="after")
    def _build(self) -> Self:
        self._chosen(None, {})
        self._of_environment = self.pair is None and not self.pairs
        self._own_profile = self.profile or {}
        return self._compiled()._described()

    def _compiled(self) -> Self:
        known = {**self.pairs, **({"default": self.pair} if self.pair else {})} or default_pairs()
        self.pairs = known
        self._runs = Runs(known, self.presets, self.judges, self.policies)
        return self

    def _described(self) -> Self:
        self.profile = {**profile_of(self._runs.preset(self.settings)), **self._own_profile}
        return self

    @property
    def model_name(self) -> str:
        """Which pair runs, as traces call it; a reply's metadata has the models' own names."""
        return f"specreason-{self.settings.pair}"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | Mapping[str, Any] | None = None,
        parallel_tool_calls: bool | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Reason freely, then answer or call some of these tools.

        Args:
            tools: LangChain tools, functions, pydantic models, or dicts in OpenAI's or Anthropic's shape.
            tool_choice: `auto` (None), `none`, `any` or `required` (True), a tool's name, or a dict that says one of
                these.
            parallel_tool_calls: whether one reply may hold several calls; None: it may.
            strict: arguments are held to their schemas, whatever this says.
            kwargs: settings of the call.

        Raises:
            ConfigError: something is no tool or no setting, or there is no such tool to choose.
        """
        said = {"tool_choice": choice_of(tool_choice), "parallel_tool_calls": parallel_tool_calls}
        call = {**kwargs, **{name: value for name, value in said.items() if value is not None}}
        return self.bind(**call, tools=list(self._chosen(None, {**call, "tools": tools}).tools))

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: Literal["json_schema", "function_calling", "json_mode"] = "json_schema",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Reason freely, then answer in the form of a pydantic model, a TypedDict, a dataclass or a JSON schema.

        What it gives is whole: a stream gives it at its end, and an answer that was cut raises `AnswerCut`.

        Args:
            schema: what the answer has to be; a model or dataclass gives its instances, all else dicts.
            include_raw: give a dict of `raw` message, `parsed` result and `parsing_error` instead of raising.
            method: the server holds the answer to the schema, whatever this says.
            strict: likewise.
            kwargs: settings of the call.

        Raises:
            ConfigError: the schema is none of them, or a setting is impossible.
        """
        self._chosen(None, kwargs)
        model = self.bind(answer_schema=as_json_schema(schema), **for_traces(schema), **kwargs)
        return parsed(model, schema, include_raw=include_raw)

    def get_token_ids(self, text: str) -> list[int]:
        """A text's token ids in base's vocabulary; waits for the server."""
        return wait_for(self.pairs[self.settings.pair].base.encode(text)).ids

    @property
    def _llm_type(self) -> str:
        return "specreason"

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy on the same pair, or on that of the update."""
        copied = super().model_copy(update=update, deep=deep)
        changed = (update or {}).keys()
        if "profile" in changed:
            copied._own_profile = copied.profile or {}
        if changed & _THE_PAIR:
            copied._of_environment = self._of_environment and not changed & {"pair", "pairs"}
            copied._compiled()
        return copied._described() if changed & {*_THE_PAIR, "settings", "profile"} else copied

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        shared = (self.pair, self.pairs, self._runs, self.callbacks, self.cache, self.rate_limiter)
        return super().__deepcopy__({**(memo or {}), **{id(it): it for it in shared}})

    def __reduce__(self) -> tuple[Any, ...]:
        return remade(self, movable=self._of_environment)

    def to_json(self) -> SerializedConstructor | SerializedNotImplemented:
        """For `langchain_core.load`, which makes it anew on the pair of its environment."""
        return constructor(self, movable=self._of_environment and not self.policies)

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, **self._chosen(None, {}).model_dump(exclude_unset=True)}

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        settings = self._chosen(stop, kwargs)
        own = {"presets": self.presets, "judges": self.judges, "policies": self.policies}
        return cache_key(settings, self.pairs.get(settings.pair), own)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return wait_for(self._agenerate(messages, stop, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        settings = self._chosen(stop, kwargs)
        return ChatResult(generations=[ChatGeneration(message=await self._runs.reply(messages, settings))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        return iterate(self._astream(messages, stop, **kwargs))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        # Of LangChain's blocks, the first is the reasoning, the second the text.
        first_call = 2 if self.output_version == "v1" else 0
        async with aclosing(self._runs.chunks(messages, self._chosen(stop, kwargs), first_call=first_call)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _chosen(self, stop: list[str] | None, call: Mapping[str, Any]) -> Settings:
        """The settings of one call.

        Raises:
            ConfigError: something is no setting, or impossible.
        """
        short = {"temperature": self.temperature, "max_tokens": self.max_tokens, "stop": self.stop}
        chosen = {**as_settings(short), **as_settings({**call, **({} if stop is None else {"stop": stop})})}
        settings = self.settings.overridden(by=chosen)
        if settings.ask_band is not None:
            raise ConfigError("ask_band: a chat model can't be resumed; use create_specreason() with a checkpointer")
        return settings

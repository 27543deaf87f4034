"""SpecReason as a LangChain chat model: reasoning blocks, an answer, and the whole loop behind one call."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Literal, NoReturn, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from pydantic import ConfigDict, Field, ModelWrapValidatorHandler, PrivateAttr, ValidationError, model_validator

from specreason_graph.contract.errors import ConfigError, checked, in_one_line
from specreason_graph.contract.settings import Settings
from specreason_graph.judging.catalog import Catalog, builtin
from specreason_graph.loop.graph import create_specreason
from specreason_graph.loop.opened import preset_of
from specreason_graph.loop.reply import Pieces, answers_in_last_step
from specreason_graph.loop.tracing import told_below
from specreason_graph.models.defaults import default_pairs
from specreason_graph.models.pair import Pair
from specreason_graph.models.presets import Judge, Preset
from specreason_graph.use.answer_schema import as_json_schema, parsed
from specreason_graph.use.background import iterate, wait_for

_NO_TOOLS = (
    "tools: SpecReason continues raw completions, which carry no tool calls; use it as the planner or as a tool of an "
    "agent whose own model calls tools"
)


class ChatSpecReason(BaseChatModel):
    """A draft and a base model as one chat model.

    The answer is the message's text; the reasoning is in `additional_kwargs["reasoning_content"]`, and in
    `content_blocks`. `usage_metadata` is what all models read and wrote; `response_metadata` has `model_name` (base's),
    `finish_reason`, and under `specreason` the acceptance rate, why the reasoning ended, and usage by role. Any setting
    may be bound or given to a call: `model.bind(threshold=8)`, `model.invoke(…, reasoning_budget=2000)`.

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
    stop: list[str] | None = Field(default=None, description="Shorthand for `answer_stop`")
    streaming: bool = Field(default=False, description="Whether `invoke` streams to callbacks, too")
    presets: Sequence[Preset] = ()
    judges: Sequence[Judge] = ()
    policies: Sequence[Any] = ()  # `NamedPolicy`, a protocol that pydantic can't check
    _graph: CompiledStateGraph[Any, Settings, Any, Any] = PrivateAttr()
    _catalog: Catalog = PrivateAttr()

    @model_validator(mode="wrap")
    @classmethod
    def _in_one_line(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            raise in_one_line(error, cls) from None

    @model_validator(mode="after")
    def _build(self) -> Self:
        self._chosen(None, {})
        known = {**self.pairs, **({"default": self.pair} if self.pair else {})} or default_pairs()
        self.pairs = known
        self._catalog = builtin().extended(self.presets, self.judges, self.policies)
        graph = create_specreason(pairs=known, presets=self.presets, judges=self.judges, policies=self.policies)
        self._graph = graph.compile(checkpointer=False, name="specreason")
        return self

    @property
    def model_name(self) -> str:
        """Which pair runs, as traces call it; a reply's metadata has the models' own names."""
        return f"specreason-{self.settings.pair}"

    def invoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        """One reply, from any thread: one event loop in the background talks to the models for all of them."""
        with told_below(config) as config:
            return super().invoke(input, config, **kwargs)

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """One reply."""
        with told_below(config) as config:
            return await super().ainvoke(input, config, **kwargs)

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessageChunk]:
        """The reasoning step by step as it is kept, then the answer token by token."""
        with told_below(config) as config:
            chunks = super().stream(input, config, **kwargs)
            first = next(chunks)
        yield first
        yield from chunks

    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessageChunk]:
        """The reasoning step by step as it is kept, then the answer token by token."""
        with told_below(config) as config:
            chunks = super().astream(input, config, **kwargs)
            first = await anext(chunks)
        yield first
        async for chunk in chunks:
            yield chunk

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any) -> NoReturn:
        """Refused.

        Raises:
            ConfigError: always; the message says the way round.
        """
        raise ConfigError(_NO_TOOLS)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: Literal["json_schema", "function_calling", "json_mode"] = "json_schema",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Reason freely, then answer in the form of a pydantic model, a TypedDict or a JSON schema.

        Args:
            schema: what the answer has to be; a pydantic model gives its instances, all else dicts.
            include_raw: give a dict of `raw` message, `parsed` result and `parsing_error` instead of raising.
            method: the server holds the answer to the schema, whatever this says.
            strict: likewise.
            kwargs: settings of the call.

        Raises:
            ConfigError: the schema is none of them, or a setting is impossible.
        """
        self._chosen(None, kwargs)
        form = {"kwargs": {"method": "json_schema"}, "schema": schema}  # for traces
        model = self.bind(answer_schema=as_json_schema(schema), ls_structured_output_format=form, **kwargs)
        return parsed(model, schema, include_raw=include_raw)

    def get_token_ids(self, text: str) -> list[int]:
        """A text's token ids in base's vocabulary; waits for the server."""
        return wait_for(self.pairs[self.settings.pair].base.encode(text)).ids

    @property
    def _llm_type(self) -> str:
        return "specreason"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, **self._chosen(None, {}).model_dump(exclude_unset=True)}

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
        state = await self._graph.ainvoke(_question(messages), _config(settings), context=settings)
        message = state["messages"][-1].model_copy(update={"id": None})  # LangChain names it after its run
        return ChatResult(generations=[ChatGeneration(message=message)])

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
        settings = self._chosen(stop, kwargs)
        pieces = Pieces(last_step_waits=await self._answers_in_last_step(settings))
        parts = self._graph.astream(
            _question(messages), _config(settings), context=settings, stream_mode=["custom", "updates"], version="v2"
        )
        async with aclosing(parts):  # type: ignore[type-var]
            async for part in parts:
                if part["type"] == "custom":
                    reasoning, answer = pieces.of(part["data"])
                    if reasoning:
                        yield _chunk("", additional_kwargs={"reasoning_content": reasoning})
                    if answer:
                        yield _chunk(answer)
                elif part["type"] == "updates" and "finalize" in part["data"]:
                    [reply] = part["data"]["finalize"]["messages"]
                    told = {"usage_metadata": reply.usage_metadata, "response_metadata": reply.response_metadata}
                    yield _chunk("", **told, chunk_position="last")

    async def _answers_in_last_step(self, settings: Settings) -> bool:
        if settings.pair not in self.pairs:
            return False  # the graph says what is wrong
        return answers_in_last_step(await preset_of(self.pairs[settings.pair], settings, self._catalog), settings)

    def _chosen(self, stop: list[str] | None, call: Mapping[str, Any]) -> Settings:
        """The settings of one call.

        Raises:
            ConfigError: something is no setting, or impossible.
        """
        if call.keys() & {"tools", "tool_choice", "functions"}:
            raise ConfigError(_NO_TOOLS)
        short = {
            "temperature": self.temperature,
            "answer_budget": call.get("max_tokens", self.max_tokens),
            "answer_stop": self.stop if stop is None else stop,
        }
        given = {**short, **{name: value for name, value in call.items() if name not in ("max_tokens", "stream")}}
        chosen = {name: value for name, value in given.items() if value is not None}
        settings = checked(Settings, {**self.settings.model_dump(exclude_unset=True), **chosen})
        if settings.ask_band is not None:
            raise ConfigError("ask_band: a chat model can't be resumed; use create_specreason() with a checkpointer")
        return settings


def _question(messages: list[BaseMessage]) -> dict[str, Any]:
    return {"messages": [message.model_copy() for message in messages]}  # the graph gives them ids


def _config(settings: Settings) -> RunnableConfig:
    return {"recursion_limit": settings.recursion_limit}  # said outright: that of a chain is 25


def _chunk(content: str, **values: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=content, **values))

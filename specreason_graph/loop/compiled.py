"""The loop as LangGraph runs it: no limit but its own, and a context that is checked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import DEFAULT_RECURSION_LIMIT
from langgraph.config import get_config
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.settings import MAX_STEPS, Settings, settings_in
from specreason_graph.contract.state import SpecReasonInput, SpecReasonOutput, SpecReasonState

_LIMIT = 4 * MAX_STEPS + 16  # super-steps; no settings ask for more


class Compiled(CompiledStateGraph[SpecReasonState, Settings, SpecReasonInput, SpecReasonOutput]):
    """What `create_specreason(…).compile()` gives: a compiled graph of LangGraph's, in all but three things.

    A run is bounded by its settings. The `recursion_limit` of a chain, a graph or an agent around it is theirs. One of
    its own is given to the call that nothing is around, or with `graph.with_config(recursion_limit=…)`.

    Streams tell of what is output, as its result does: the bytes of a thread's images are in neither a second time.

    Its `context` is `Settings`, or a mapping of them: what is no setting is refused, on LangGraph's server, too.
    """

    def astream(
        self,
        input: Any,
        config: RunnableConfig | None = None,
        *,
        context: Settings | Mapping[str, Any] | None = None,
        output_keys: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """See `CompiledStateGraph.astream`; `ainvoke` and `astream_events` come here, too.

        Raises:
            ConfigError: the context is something else, or a setting is impossible or unknown.
        """
        own: Any = None if context is None else Settings().overridden(_of_our_own(context))
        limited = cast(RunnableConfig, {**(config or {}), "recursion_limit": self._limit(config)})
        told = self.output_channels if output_keys is None else output_keys  # as `ainvoke` has it, and streams have not
        return super().astream(input, limited, context=own, output_keys=told, **kwargs)

    def get_context_jsonschema(self) -> dict[str, Any]:
        """The form of the settings. LangGraph's server drops what it does not name; it is to come here, and be told."""
        schema = Settings.model_json_schema()
        return {**schema, "properties": _AnyName(schema["properties"])}

    def _limit(self, config: RunnableConfig | None) -> int:
        given = (config or {}).get("recursion_limit", DEFAULT_RECURSION_LIMIT)
        if given != DEFAULT_RECURSION_LIMIT and not _is_inside():
            return given
        return (self.config or {}).get("recursion_limit", _LIMIT)


class Uncompiled(StateGraph[SpecReasonState, Settings, SpecReasonInput, SpecReasonOutput]):
    """What `create_specreason()` gives."""

    def compile(self, *args: Any, **kwargs: Any) -> Compiled:
        """See `StateGraph.compile`."""
        graph = super().compile(*args, **kwargs)
        graph.__class__ = Compiled  # LangGraph builds it in one piece, of a class of its own
        return cast(Compiled, graph)


class _AnyName(dict[str, Any]):
    """Properties that have every name."""

    def __contains__(self, name: object) -> bool:
        return True


def _of_our_own(context: object) -> Settings | Mapping[str, Any]:
    if isinstance(context, Mapping):
        return context
    if (found := settings_in(context)) is None:
        raise ConfigError(f"context: give Settings or a mapping of them, not {type(context).__name__}")
    return found


def _is_inside() -> bool:
    """Whether a chain, graph or tool is around what is running; a server has a config around it, but no run."""
    try:
        around = get_config()
    except RuntimeError:
        return False
    return getattr(around.get("callbacks"), "parent_run_id", None) is not None

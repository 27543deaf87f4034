"""What LangChain's callers say in a call, as settings; and of all else, where it belongs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.settings import Settings
from specreason_graph.contract.tools import as_openai_tool
from specreason_graph.use.answer_schema import as_json_schema

_ALSO = {"max_tokens": "answer_budget", "stop": "answer_stop"}
_GRANTED = {"stream", "strict"}  # how LangChain calls; and what is so anyway: arguments are held to their schemas
_URLS = "SPECREASON_BASE_URL and SPECREASON_DRAFT_URL"
_OF_A_SERVER = {
    "base_url": ("base_url", _URLS),
    "openai_api_base": ("base_url", _URLS),
    "api_key": ("api_key", "SPECREASON_API_KEY"),
    "openai_api_key": ("api_key", "SPECREASON_API_KEY"),
    "model": ("model", "SPECREASON_BASE_MODEL and SPECREASON_DRAFT_MODEL"),
    "model_name": ("model", "SPECREASON_BASE_MODEL and SPECREASON_DRAFT_MODEL"),
    "timeout": ("timeout", "SPECREASON_TIMEOUT"),
    "request_timeout": ("timeout", "SPECREASON_TIMEOUT"),
    "headers": ("headers", "SPECREASON_PAIRS"),
    "default_headers": ("headers", "SPECREASON_PAIRS"),
    "dialect": ("dialect", "SPECREASON_DIALECT"),
    "replicas": ("replicas", f"{_URLS}, with commas between"),
    "connections": ("connections", "SPECREASON_PAIRS"),
    "full_likelihood": ("full_likelihood", "SPECREASON_PAIRS"),
}
_DRAWN = "tokens are drawn by temperature, top_p and seed alone"
_CALLS = "an older word: take tools and tool_choice"
_LOGPROBS = "those of the answer are not kept"
_HANDED = "nothing is handed to the servers as it is; what a run may choose are the fields of Settings"
_ELSEWHERE = {
    "base": "a model of the pair: ChatSpecReason(pair=Pair(PairConfig(base=…, draft=…)))",
    "draft": "a model of the pair: ChatSpecReason(pair=Pair(PairConfig(base=…, draft=…)))",
    "max_retries": "requests are retried where they may be; .with_retry() repeats whole calls",
    "max_completion_tokens": "max_tokens is the answer's budget, and reasoning_budget that of the reasoning",
    "reasoning_effort": "the reasoning has a budget in tokens, the setting reasoning_budget",
    "reasoning": "the reasoning has a budget in tokens, the setting reasoning_budget",
    "n": "a call gives one reply; ask several times, each with a seed of its own",
    "logprobs": _LOGPROBS,
    "top_logprobs": _LOGPROBS,
    "logit_bias": _DRAWN,
    "top_k": _DRAWN,
    "min_p": _DRAWN,
    "frequency_penalty": _DRAWN,
    "presence_penalty": _DRAWN,
    "repetition_penalty": _DRAWN,
    "functions": _CALLS,
    "function_call": _CALLS,
    "extra_body": _HANDED,
    "model_kwargs": _HANDED,
}


def as_settings(call: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a call names, in LangChain's words or ours; what is None says nothing.

    Raises:
        ConfigError: it names something else; the message says where that belongs.
    """
    said = {name: value for name, value in call.items() if value is not None and name not in _GRANTED}
    if "response_format" in said:
        said["answer_schema"] = _schema_of(said.pop("response_format")) or said.get("answer_schema")
    if "tools" in said:
        said["tools"] = _each_once(said["tools"])
    if "tool_choice" in said:
        said["tool_choice"] = choice_of(said["tool_choice"])
    if isinstance(said.get("stop"), str):
        said["stop"] = [said["stop"]]
    chosen = {_ALSO.get(name, name): value for name, value in said.items() if value is not None}
    if unknown := [name for name in chosen if name not in Settings.model_fields]:
        raise ConfigError(places_of(unknown))
    return chosen


def places_of(names: Iterable[str]) -> str:
    """Where arguments belong that a chat model does not have."""
    return "; ".join(f"{name}: {_place_of(name)}" for name in names)


def _place_of(name: str) -> str:
    if name in Settings.model_fields:
        return f"a setting: ChatSpecReason(settings=Settings({name}=…))"
    if name in _OF_A_SERVER:
        field, variable = _OF_A_SERVER[name]
        made = f"Pair(PairConfig(base=EndpointConfig({field}=…), draft=…))"
        return f"of a server, which no call may choose: ChatSpecReason(pair={made}), or {variable}"
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    near = get_close_matches(name, Settings.model_fields, n=1)
    return f"no setting; is {near[0]} meant?" if near else "no setting; those of a run are the fields of Settings"


def choice_of(said: Any) -> str | None:
    """LangChain's forms of `tool_choice` as the setting; None where nothing is said.

    Raises:
        ConfigError: it is none of them.
    """
    match said:
        case None | False | "":
            return None
        case True | "any":
            return "required"
        case str():
            return said
        case {"type": "function", "function": {"name": str(name)}} | {"type": "tool" | "function", "name": str(name)}:
            return name
        case {"type": "auto" | "none" | "any" | "required" as word}:
            return choice_of(word)
    forms = "auto, none, any, required, True, a tool's name, or a dict of OpenAI's or Anthropic's with that"
    raise ConfigError(f"tool_choice: {str(said)[:80]!r} is no choice; take one of {forms}")


def _each_once(tools: Any) -> list[dict[str, Any]]:
    """Tools in OpenAI's shape; one that is given twice, such as a model and its schema, is one."""
    if not isinstance(tools, Sequence) or isinstance(tools, str):
        raise ConfigError(f"tools: a list of tools, not {type(tools).__name__}")
    kept: dict[str, dict[str, Any]] = {}
    for at, given in enumerate(tools):
        try:
            tool = as_openai_tool(given)
        except ValueError as error:
            raise ConfigError(f"tools.{at}: {error}") from None
        kept.setdefault(json.dumps(_untitled(tool), sort_keys=True), tool)
    return list(kept.values())


def _untitled(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_untitled(it) for it in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {key: _untitled(it) for key, it in schema.items() if key != "title" or not isinstance(it, str)}


def _schema_of(form: Any) -> dict[str, Any] | None:
    """The schema of a `response_format`; None where it is free."""
    match form:
        case {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return {"type": "object"}
        case {"type": "json_schema", "json_schema": {"schema": Mapping() as schema} as named}:
            told = {key: named[key] for key in ("description",) if key in named}
            return as_json_schema({"title": str(named.get("name", "answer")), **told, **schema})
        case type():
            return as_json_schema(form)
    raise ConfigError(
        f"response_format: {str(form)[:80]!r} is none; take a pydantic model or "
        '{"type": "json_schema", "json_schema": {"name": …, "schema": …}}'
    )

"""What a tool is here: its name, what it is for, and the JSON schema of its arguments, in OpenAI's shape."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, BeforeValidator

from specreason_graph.contract.schema import check_schema, names_all

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
CHOICES = ("auto", "none", "required")
"""What `tool_choice` may say beside the name of a tool."""


def as_openai_tool(tool: Any) -> dict[str, Any]:
    """A tool as `{"type": "function", "function": {"name", "description", "parameters"}}`.

    Args:
        tool: a LangChain tool, a function, a pydantic model, a TypedDict, or a dict in OpenAI's or Anthropic's shape.

    Raises:
        ValueError: it is none of them, its name can't be one, or its arguments are no object.
    """
    if isinstance(tool, Mapping) and tool.get("type", "function") not in ("function", "object", "custom", "tool"):
        raise ValueError(f"{str(tool['type'])[:40]!r} is a tool of another provider's servers, which nobody runs here")
    try:
        given = tool if isinstance(tool, Mapping) and tool.get("type") == "function" else convert_to_openai_tool(tool)
        function = dict(given["function"])
    except (KeyError, TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(f"{str(tool)[:80]!r} is no tool ({error})") from None
    name = function.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"a tool's name has letters, digits and _ . : - (128 at most), not {str(name)[:140]!r}")
    parameters = _parameters(tool) or function.get("parameters") or {"type": "object", "properties": {}}
    if not isinstance(parameters, Mapping) or parameters.get("type", "object") != "object":
        raise ValueError(f"{name}: the parameters of a tool are a JSON schema of type object")
    try:
        check_schema(parameters)
    except ValueError as error:
        raise ValueError(f"{name}: of its parameters' schema: {error}") from None
    told = {"name": name, "description": str(function.get("description") or ""), "parameters": dict(parameters)}
    return {"type": "function", "function": told}


def _parameters(tool: Any) -> dict[str, Any] | None:
    """The whole schema where pydantic knows it: LangChain's own conversion loses what refers to itself."""
    schema = tool.tool_call_schema if isinstance(tool, BaseTool) else tool
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        found = schema.model_json_schema()
        return {key: value for key, value in found.items() if key not in ("title", "description")}
    return None


def name_of(tool: Mapping[str, Any]) -> str:
    """Of a tool in OpenAI's shape."""
    return str(tool["function"]["name"])


def named(tools: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The argument schemas of some tools, by name; arguments that a tool does not name are none of its own."""
    schemas = {name_of(tool): tool["function"]["parameters"] for tool in tools}
    return {name: {**it, "additionalProperties": False} if names_all(it) else it for name, it in schemas.items()}


Tool = Annotated[dict[str, Any], BeforeValidator(as_openai_tool)]
"""Anything that LangChain takes for a tool; kept in OpenAI's shape."""

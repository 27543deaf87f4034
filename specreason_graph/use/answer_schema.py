"""Structured answers: from whatever LangChain takes as a schema to JSON schema, and back to what was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass

from specreason_graph.contract.errors import ConfigError


def as_json_schema(schema: Mapping[str, Any] | type) -> dict[str, Any]:
    """The JSON schema of a pydantic model, a TypedDict, or a schema as it is.

    Raises:
        ConfigError: it is none of them.
    """
    try:
        if not isinstance(schema, Mapping):
            return convert_to_json_schema(schema)
        return convert_to_json_schema({"title": "answer", **schema} if "type" in schema else dict(schema))
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"with_structured_output: {schema!r} is no pydantic model, TypedDict or JSON schema ({error})"
        ) from None


def parsed(model: Runnable[LanguageModelInput, Any], schema: Any, *, include_raw: bool) -> Runnable[Any, Any]:
    """The model with a parser behind it; with `include_raw`, message, result and error side by side."""
    is_model = isinstance(schema, type) and is_basemodel_subclass(schema)
    parser = PydanticOutputParser(pydantic_object=schema) if is_model else JsonOutputParser()
    if not include_raw:
        return model | parser
    found = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    nothing = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | found.with_fallbacks([nothing], exception_key="parsing_error")

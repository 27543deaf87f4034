"""Structured answers: from whatever LangChain takes as a schema to JSON schema, and back to what was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from operator import itemgetter
from typing import Any, NoReturn, NotRequired, Required, cast, get_args, get_origin, get_type_hints

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableLambda, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import TypedDictSchema
from typing_extensions import ReadOnly, is_typeddict

from specreason_graph.contract.errors import ConfigError, SpecReasonError, in_one_line
from specreason_graph.contract.tools import as_openai_tool

_KEYWORDS = {"type", "properties", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"}
_OF_A_TOOL = {"function", "parameters", "input_schema"}


class AnswerError(SpecReasonError, OutputParserException):
    """An answer that is not of the form that was asked for; `llm_output` is its text."""

    def __init__(self, message: str, text: str = "") -> None:
        super().__init__(message)
        self.args = (message,)  # LangChain's own puts an address behind it
        self.llm_output = text


class AnswerCut(AnswerError):
    """An answer that met its budget or the deadline, or went in circles, before it was whole."""


def as_json_schema(schema: Mapping[str, Any] | type) -> dict[str, Any]:
    """The JSON schema of a pydantic model, a TypedDict or a dataclass, whole; or a schema as it is.

    A dict may be a tool's, in OpenAI's or Anthropic's shape: then it is the schema of its arguments.

    Raises:
        ConfigError: it is none of them.
    """
    try:
        if isinstance(schema, Mapping):
            return _as_given(schema)
        if _of_pydantic_1(schema):
            return dict(schema.schema())  # type: ignore[attr-defined]
        if is_basemodel_subclass(schema) or is_typeddict(schema) or is_dataclass(schema):
            return TypeAdapter(schema).json_schema(schema_generator=_Described)
        raise TypeError("it is of another kind")
    except (ValueError, TypeError, PydanticUserError) as error:
        raise ConfigError(
            f"with_structured_output: {str(schema)[:200]!r} is no pydantic model, TypedDict, dataclass or JSON schema "
            f"({str(error).splitlines()[0]})"
        ) from None


def for_traces(schema: Any) -> dict[str, Any]:
    """What LangChain tells tracers of a schema; nothing where its own conversion, which loses much, fails."""
    try:
        convert_to_json_schema(schema)
    except (ValueError, TypeError, RecursionError):  # such as a TypedDict with `NotRequired`
        return {}
    return {"ls_structured_output_format": {"kwargs": {"method": "json_schema"}, "schema": schema}}


def parsed(model: Runnable[LanguageModelInput, Any], schema: Any, *, include_raw: bool) -> Runnable[Any, Any]:
    """The model with a parser behind it; with `include_raw`, message, result and error side by side.

    A reply that calls tools has no answer: its result is None.

    Raises:
        AnswerCut: when called, where the answer is not whole.
        AnswerError: when called, where it is no JSON, or not of the schema.
    """
    read = _reader(schema)

    def parse(message: AIMessage) -> Any:
        return _answer(message, read)

    async def aparse(message: AIMessage) -> Any:
        return _answer(message, read)

    parser = RunnableLambda(parse, aparse)
    if not include_raw:
        return model | parser
    found = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    nothing = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | found.with_fallbacks([nothing], exception_key="parsing_error")


def _as_given(schema: Mapping[str, Any]) -> dict[str, Any]:
    if schema.keys() & _OF_A_TOOL:
        function = as_openai_tool(schema)["function"]
        return {"title": function["name"], "description": function["description"], **function["parameters"]}
    if not schema.keys() & _KEYWORDS:
        raise ValueError(f"a JSON schema has one of {', '.join(sorted(_KEYWORDS))}")
    return dict(schema)


class _Described(GenerateJsonSchema):
    """Knows how LangChain's users describe a TypedDict's fields: `Annotated[type, default, "description"]`."""

    def typed_dict_schema(self, schema: TypedDictSchema) -> JsonSchemaValue:
        """With those descriptions."""
        told = super().typed_dict_schema(schema)
        for name, hint in _hints(schema.get("cls")).items():
            while get_origin(hint) in (Required, NotRequired, ReadOnly):
                [hint] = get_args(hint)
            texts = [said for said in getattr(hint, "__metadata__", ()) if isinstance(said, str)]
            if texts and name in told["properties"]:
                told["properties"][name].setdefault("description", texts[-1])
        return told


def _hints(cls: Any) -> dict[str, Any]:
    try:
        return get_type_hints(cls, include_extras=True)
    except (NameError, TypeError):  # names that only pydantic finds
        return {}


def _of_pydantic_1(schema: Any) -> bool:
    return is_basemodel_subclass(schema) and not issubclass(schema, BaseModel)


def _reader(schema: Any) -> Callable[[str], Any]:
    if isinstance(schema, Mapping):
        return json.loads
    if _of_pydantic_1(schema):
        return cast(Callable[[str], Any], schema.parse_raw)
    return TypeAdapter(schema).validate_json


def _answer(message: AIMessage, read: Callable[[str], Any]) -> Any:
    run = message.response_metadata.get("specreason", {})
    if message.response_metadata.get("finish_reason") == "length" and run.get("answer_loops"):
        raise AnswerCut(
            f"loop_detection: the answer went in circles, and was cut after {run['answer_tokens']} tokens; a schema "
            "with less room for it helps (maxLength, maxItems), or another seed",
            message.text,
        )
    if message.response_metadata.get("finish_reason") == "length":
        raise AnswerCut(
            f"answer_budget: the answer ended after {run.get('answer_tokens', 'all its')} tokens, before it was whole; "
            "give it more (answer_budget, or max_tokens), or a later deadline",
            message.text,
        )
    if message.tool_calls:
        return None
    if message.invalid_tool_calls:
        raise AnswerError(
            f"the reply is a call that went wrong: {message.invalid_tool_calls[0]['error']}", message.text
        )
    try:
        json.loads(message.text, parse_constant=_no_number)
        return read(message.text)
    except ValidationError as error:
        raise AnswerError(f"the answer is not of the schema: {in_one_line(error, BaseModel)}", message.text) from None
    except ValueError as error:
        raise AnswerError(f"the answer is not of the schema: {str(error).splitlines()[0]}", message.text) from None


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")

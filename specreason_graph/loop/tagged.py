"""Arguments that are not JSON: each has a tag of its own, as Qwen3-Coder writes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from specreason_graph.contract.schema import resolved
from specreason_graph.endpoint.protocol import Form
from specreason_graph.generation.passage import Passage
from specreason_graph.loop.reply import until
from specreason_graph.loop.writing import Writing

Fault = Literal["cut", "open"]
"""Why arguments are not whole: a bound was met, or the model (or a server that holds to nothing) left one open."""


async def tagged(writing: Writing, root: Mapping[str, Any], tell: Callable[[str], None]) -> tuple[str, Fault | None]:
    """The arguments as JSON text, and why they are not whole: keys that the schema names, each once.

    Args:
        writing: where they are written.
        root: their schema, of an object that names its properties.
        tell: told the same JSON text, argument by argument.
    """
    spelled, schema = writing.run.preset.tool_format, resolved(root, root)
    head, _, rest = spelled.argument.partition("{key}")
    middle, _, tail = rest.partition("{value}")
    properties = {key: it for key, it in schema["properties"].items() if it is not False}
    required, said = set(schema.get("required", ())), "{"
    tell("{")
    while properties:
        options: dict[str, str | None] = {f"{head}{key}{middle}": key for key in properties}
        if not required & properties.keys():
            options[spelled.pieces[2].rstrip()] = None  # the end of the call
        key, fault = await _chosen(writing, options)
        if fault is not None:
            return said, fault
        if key is None:
            break
        part = properties.pop(key)
        value, fault = await _value(writing, part if isinstance(part, Mapping) else {}, root, tail)
        if fault is not None:
            return said, fault
        piece = f"{', ' if len(said) > 1 else ''}{json.dumps(key, ensure_ascii=False)}: {value}"
        said += piece
        tell(piece)
    tell("}")
    return said + "}", None


async def _chosen(writing: Writing, options: Mapping[str, str | None]) -> tuple[str | None, Fault | None]:
    """Which key comes next, if any; its tag is given, the end of the call is not."""
    text = next(iter(options))
    if len(options) > 1:
        tried = await writing.tried(Form(choices=tuple(options)))
        if tried.cut or tried.text not in options:
            return None, "cut" if tried.cut else "open"
        text = tried.text
    key = options[text]
    if key is not None:
        await writing.give(text)
    return key, None


async def _value(
    writing: Writing, part: Mapping[str, Any], root: Mapping[str, Any], tail: str
) -> tuple[str, Fault | None]:
    """A value as JSON: texts are written bare up to the tag that closes them, all else as JSON."""
    schema = resolved(part, root)
    fault: Fault | None
    texts = [text for text in schema.get("enum", ()) if isinstance(text, str)]
    if texts and all(isinstance(it, str) or it is None for it in schema["enum"]):
        nothing = ["null"] if None in schema["enum"] else []
        tried = await writing.tried(Form(choices=(*texts, *nothing)))
        text, fault = tried.text, _cut(tried)
    elif not _is_bare(schema, root):
        written = await writing.write(Form(schema=_alone(schema, root)))
        await writing.give(tail, of_format=True)
        return written.text, _cut(written)
    else:
        tried = await writing.tried(Form(stop=(tail.strip(),)))
        text, fault = _closed(tried, tail)
    await writing.give(text + tail)
    if text == "null" and _may_be_null(schema, root):
        return text, fault
    return json.dumps(text, ensure_ascii=False), fault


def _cut(passage: Passage) -> Fault | None:
    return "cut" if passage.cut else None


def _closed(tried: Passage, tail: str) -> tuple[str, Fault | None]:
    """A text up to its closing tag; one that has none was left open."""
    text = until(tried.text, [tail.strip()])
    if len(text) == len(tried.text):
        return text, "cut" if tried.cut else "open"
    return text.removesuffix(tail[: len(tail) - len(tail.lstrip())]), None


def _is_bare(schema: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    """Whether it is a text, or a text or nothing."""
    return _kinds(schema, root) in ({"string"}, {"string", "null"})


def _may_be_null(schema: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    return "null" in _kinds(schema, root) or None in schema.get("enum", ())


def _kinds(schema: Mapping[str, Any], root: Mapping[str, Any]) -> set[str]:
    said = schema.get("type")
    if said is not None:
        return {said} if isinstance(said, str) else set(said)
    either = schema.get("anyOf") or schema.get("oneOf") or []
    parts = [resolved(part, root) for part in either if isinstance(part, Mapping)]
    plain = all(isinstance(part.get("type"), str) and not part.keys() & {"enum", "const"} for part in parts)
    return {str(part["type"]) for part in parts} if plain else set()


def _alone(schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """A part of a schema that stands for itself: what it refers to comes along."""
    if "$ref" not in json.dumps(schema, default=repr):
        return dict(schema)
    return {**_rebased(schema), "$defs": {"root": _rebased(root)}}


def _rebased(value: Any) -> Any:
    """References to the root, where that is a definition now."""
    if isinstance(value, list):
        return [_rebased(it) for it in value]
    if not isinstance(value, Mapping):
        return value
    return {
        key: f"#/$defs/root{it[1:]}" if key == "$ref" and isinstance(it, str) else _rebased(it)
        for key, it in value.items()
    }

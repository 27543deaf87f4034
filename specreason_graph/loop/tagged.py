"""Arguments that are not JSON: each has a tag of its own, as Qwen3-Coder writes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from specreason_graph.endpoint.protocol import Form
from specreason_graph.loop.reply import until
from specreason_graph.loop.writing import Writing


async def tagged(writing: Writing, schema: Mapping[str, Any], tell: Callable[[str], None]) -> tuple[str, bool]:
    """The arguments as JSON text, and whether they were cut: keys of the schema, each once, required ones for sure.

    Args:
        writing: where they are written.
        schema: of all arguments together, an object.
        tell: told the same JSON text, argument by argument.
    """
    spelled, properties = writing.run.preset.tool_format, dict(_object(schema).get("properties", {}))
    head, _, rest = spelled.argument.partition("{key}")
    middle, _, tail = rest.partition("{value}")
    required, said = set(_object(schema).get("required", ())), "{"
    tell("{")
    while properties:
        options: dict[str, str | None] = {f"{head}{key}{middle}": key for key in properties}
        if not required & properties.keys():
            options[spelled.pieces[2].rstrip()] = None  # the end of the call
        key, cut = await _chosen(writing, options)
        if cut or key is None:
            break
        value, cut = await _value(writing, {**properties.pop(key), **_definitions(schema)}, tail)
        if cut:
            break
        piece = f"{', ' if len(said) > 1 else ''}{json.dumps(key)}: {value}"
        said += piece
        tell(piece)
    else:
        cut = False
    if not cut:
        said += "}"
        tell("}")
    return said, cut


async def _chosen(writing: Writing, options: Mapping[str, str | None]) -> tuple[str | None, bool]:
    """Which key comes next, if any; its tag is given, the end of the call is not."""
    text = next(iter(options))
    if len(options) > 1:
        tried = await writing.tried(Form(choices=tuple(options)))
        if tried.cut or tried.text not in options:
            return None, True
        text = tried.text
    key = options[text]
    if key is not None:
        await writing.give(text)
    return key, False


async def _value(writing: Writing, schema: Mapping[str, Any], tail: str) -> tuple[str, bool]:
    """A value as JSON: texts are written bare up to the tag that closes them, all else as JSON."""
    if schema.get("type") != "string":
        written = await writing.write(Form(schema=schema))
        await writing.give(tail)
        return written.text, written.cut
    if "enum" in schema:
        written = await writing.tried(Form(choices=tuple(schema["enum"])))
    else:
        written = await writing.tried(Form(stop=(tail.rstrip(),)))
    text = until(written.text, [tail.rstrip()])
    await writing.give(text + tail)
    return json.dumps(text, ensure_ascii=False), written.cut


def _object(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema itself, where it only names one of its definitions."""
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    found: Mapping[str, Any] = schema.get("$defs", {}).get(name, schema)
    return found


def _definitions(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"$defs": schema["$defs"]} if "$defs" in schema else {}

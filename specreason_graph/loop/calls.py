"""Calls of tools, written by base: names and arguments are all that it writes, held to the tools' own schemas.

What surrounds them is given, so that a call is whole or it is none: what was cut, or is wrong since a server holds to
no schema, is told as such, and neither repaired nor executed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import InvalidToolCall, ToolCall
from langchain_core.messages.tool import invalid_tool_call, tool_call

from specreason_graph.contract.events import ToolCallBegun, ToolCallToken
from specreason_graph.contract.schema import wrong
from specreason_graph.contract.tools import named
from specreason_graph.endpoint.protocol import Form
from specreason_graph.loop.run import Run
from specreason_graph.loop.tagged import tagged
from specreason_graph.loop.writing import Writing
from specreason_graph.models.conversation import digest

_MOST = 32
"""Calls in one reply."""

_BEFORE_MARK = 8
"""Tokens that a model may write between two calls; one that says more has no other."""


@dataclass(slots=True)
class Calls:
    """Those of one reply."""

    valid: list[ToolCall] = field(default_factory=list)
    invalid: list[InvalidToolCall] = field(default_factory=list)
    cut: bool = False


async def write_calls(writing: Writing) -> Calls:
    """One call or several, behind the text so far."""
    run, calls = writing.run, Calls()
    spelled, schemas = run.preset.tool_format, named(run.settings.tools)
    schemas = {name: schemas[name] for name in run.settings.callable_tools}
    mark, before = await writing.closer(spelled.mark), spelled.before
    most = _BEFORE_MARK + len(spelled.mark.encode())  # a token has a byte at least
    for index in range(_MOST):
        if writing.left < 1 or run.clock.left() == 0:
            calls.cut = True
            break
        await writing.give(before + spelled.mark + spelled.pieces[0])
        await _write_call(writing, schemas, index, calls)
        if calls.cut or not run.settings.parallel_tool_calls:
            break
        if (await writing.tried(closers=[mark], most=most)).ended_with is None:
            break
        before = spelled.between
    if not calls.cut:
        await writing.give(spelled.behind)
    return calls


async def _write_call(writing: Writing, schemas: Mapping[str, Mapping[str, Any]], index: int, calls: Calls) -> None:
    run = writing.run
    _, middle, tail = run.preset.tool_format.pieces
    # Together with what is behind it: one name may begin another.
    names = {f"{name}{middle}": name for name in schemas}
    if len(names) == 1:
        [(text, name)] = names.items()
        await writing.give(text)
    else:
        chosen = await writing.write(Form(choices=tuple(names)))
        if chosen.cut or chosen.text not in names:
            calls.cut = chosen.cut
            reason = _budget(run) if chosen.cut else "the server did not hold base to the tools' names"
            if chosen.text:
                said = next((name for name in schemas if chosen.text.startswith(f"{name}{middle[:1]}")), chosen.text)
                calls.invalid.append(invalid_tool_call(name=said, args="", id=_id(run, index), error=reason))
            return
        name = names[chosen.text]
    run.emit(ToolCallBegun(event="tool_call_begun", index=index, id=_id(run, index), name=name))

    def tell(text: str) -> None:
        run.emit(ToolCallToken(event="tool_call_token", index=index, text=text))

    schema = schemas[name]
    if not schema.get("properties") and not schema.get("$ref"):
        tell("{}")
        said, cut = "{}", False
        await writing.give("" if run.preset.tool_format.argument else "{}")
    elif run.preset.tool_format.argument:
        said, cut = await tagged(writing, schema, tell)
    else:
        passage = await writing.write(Form(schema=schema), on_text=tell)
        said, cut = passage.text, passage.cut
    calls.cut = cut
    error = _budget(run) if cut else wrong(said, schema)
    if error is None:
        calls.valid.append(tool_call(name=name, args=json.loads(said), id=_id(run, index)))
    else:
        calls.invalid.append(invalid_tool_call(name=name, args=said, id=_id(run, index), error=error))
    if not cut:
        await writing.give(tail)


def _budget(run: Run) -> str:
    if run.clock.left() == 0:
        return f"cut: the run's deadline passed ({run.settings.deadline:g} s)"
    return f"cut: the reply met its bound (answer_budget: {run.settings.answer_budget} tokens, or the model's context)"


def _id(run: Run, index: int) -> str:
    """The same for a run that is resumed, and of no other run."""
    return f"call_{digest([run.identity['id'], index])}"

"""Calls of tools, written by base: names and arguments are all that it writes, held to the tools' own schemas.

What surrounds them is given, so that a call is whole or it is none: what was cut, or is wrong since a server holds to
no schema, is told as such, and neither repaired nor executed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import InvalidToolCall, ToolCall
from langchain_core.messages.tool import invalid_tool_call, tool_call

from specreason_graph.contract.events import ToolCallBegun, ToolCallToken
from specreason_graph.contract.schema import resolved, takes_nothing, wrong
from specreason_graph.contract.tools import named
from specreason_graph.endpoint.protocol import Form
from specreason_graph.generation.passage import Passage
from specreason_graph.loop.run import Run
from specreason_graph.loop.tagged import tagged
from specreason_graph.loop.writing import Writing
from specreason_graph.models.conversation import digest

_MOST = 32
"""Calls in one reply."""

_NOT_HELD = "base left it open, or wrote something else: the server does not hold it to the tool"
_BEFORE_MARK = 8
"""Tokens that a model may write between two calls; one that says more has no other."""


@dataclass(slots=True)
class Calls:
    """Those of one reply."""

    valid: list[ToolCall] = field(default_factory=list)
    invalid: list[InvalidToolCall] = field(default_factory=list)
    cut: bool = False


async def write_calls(writing: Writing) -> Calls:
    """One call or several, behind the text so far; a tool that is named is called once."""
    run, calls = writing.run, Calls()
    spelled, schemas = run.preset.tool_format, named(run.settings.tools)
    schemas = {name: schemas[name] for name in run.settings.callable_tools}
    mark, before = await run.pair.closer(writing.role, spelled.mark), spelled.before
    most = _BEFORE_MARK + len(spelled.mark.encode())  # a token has a byte at least
    for index in range(_MOST):
        if writing.left < 1 or run.clock.left() == 0:
            calls.cut = True
            break
        await writing.give(before + spelled.mark + spelled.pieces[0], of_format=True)
        whole = await _write_call(writing, schemas, index, calls)
        if not whole or not run.settings.parallel_tool_calls or run.settings.tool_choice in schemas:
            break
        another = await writing.tried(closers=[mark], most=most)
        if another.ended_with is None:
            calls.cut = another.cut and another.received < most  # there was no room to see whether there is another
            break
        before = spelled.between
    else:
        calls.cut = True
    if not calls.cut:
        await writing.give(spelled.behind, of_format=True)
    return calls


async def _write_call(writing: Writing, schemas: Mapping[str, Mapping[str, Any]], index: int, calls: Calls) -> bool:
    """Returns whether it came to its end."""
    run, fault = writing.run, None
    identity = _id(run, index)
    name, told = await _name(writing, list(schemas))
    if name is None:
        calls.cut = told.cut
        error = _why_cut(writing) if told.cut else _NOT_HELD
        if begun := told.text.partition('"')[0]:
            calls.invalid.append(invalid_tool_call(name=begun, args="", id=identity, error=error))
        return False
    run.emit(ToolCallBegun(event="tool_call_begun", index=index, id=identity, name=name))

    def tell(text: str) -> None:
        run.emit(ToolCallToken(event="tool_call_token", index=index, text=text))

    schema, of_tags = schemas[name], bool(run.preset.tool_format.argument)
    if takes_nothing(schema):
        said = "{}"
        tell(said)
        await writing.give("" if of_tags else said)
    elif of_tags and resolved(schema, schema).get("properties"):
        said, fault = await tagged(writing, schema, tell)
    else:
        passage = await writing.write(Form(schema=schema), on_text=tell)
        said, fault = passage.text, "cut" if passage.cut else None
    calls.cut = fault == "cut"
    problem = {"cut": _why_cut(writing), "open": _NOT_HELD}[fault] if fault else wrong(said, schema)
    if problem is not None:
        calls.invalid.append(invalid_tool_call(name=name, args=said, id=identity, error=problem))
        return False
    calls.valid.append(tool_call(name=name, args=json.loads(said), id=identity))
    await writing.give(run.preset.tool_format.pieces[2], of_format=True)
    return True


async def _name(writing: Writing, names: Sequence[str]) -> tuple[str | None, Passage]:
    """The tool that is called, and what was written of it; what stands behind the name is given."""
    middle = writing.run.preset.tool_format.pieces[1]
    # Together with what is behind it: one name may begin another.
    texts = {f"{name}{middle}": name for name in names}
    tried = await writing.tried(Form(choices=tuple(texts))) if len(texts) > 1 else Passage(text=next(iter(texts)))
    if tried.text not in texts:
        return None, tried
    await writing.give(tried.text)
    return texts[tried.text], tried


def _why_cut(writing: Writing) -> str:
    run = writing.run
    if writing.loops:
        return "cut: base went in circles (loop_detection: true)"
    if run.clock.left() == 0:
        return f"cut: the run's deadline passed ({run.settings.deadline:g} s)"
    return f"cut: the reply met its bound (answer_budget: {run.settings.answer_budget} tokens, or the model's context)"


def _id(run: Run, index: int) -> str:
    """The same for a run that is resumed, and of no other run."""
    return f"call_{digest([run.identity['id'], index])}"

"""How llama.cpp's server is told what an answer has to be like."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from specreason_graph.contract.schema import names_all

_SPECIAL = re.compile(r'["\\\x00-\x1f\x7f]')  # what does not stand for itself in a literal of a grammar
_OF_SCHEMAS = ("properties", "$defs", "definitions")
_IN_LISTS = ("anyOf", "oneOf", "prefixItems")


def grammar(choices: Sequence[str]) -> str:
    """A grammar (GBNF) of some texts."""
    return f"root ::= {' | '.join(map(_literal, choices))}"


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON schema whose objects have the properties that it names, and others only where it says so.

    That is how vLLM reads it (xgrammar is strict); here a model would be free to make some up.
    """
    told = dict(schema)
    for key in _OF_SCHEMAS:
        if isinstance(told.get(key), Mapping):
            told[key] = {name: _closed(it) for name, it in told[key].items()}
    for key in _IN_LISTS:
        if isinstance(told.get(key), list):
            told[key] = [_closed(it) for it in told[key]]
    for key in ("items", "additionalProperties"):
        if key in told:
            told[key] = _closed(told[key])
    if names_all(told):
        told["additionalProperties"] = False
    return told


def _closed(schema: Any) -> Any:
    return closed(schema) if isinstance(schema, Mapping) else schema


def _literal(text: str) -> str:
    """A text as GBNF spells it."""
    return '"' + _SPECIAL.sub(lambda found: f"\\x{ord(found[0]):02X}", text) + '"'

"""What goes wrong between a client and a server, in the words of either dialect."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

WireFaultKind = Literal[
    "refuse",
    "reset",
    "stall",
    "drip",
    "truncate",
    "garbage",
    "html",
    "status",
    "vanish",
    "no_logprobs",
    "null_logprobs",
    "nan_logprobs",
    "infinite_logprobs",
    "empty_choices",
    "wrong_json",
]
KINDS: tuple[WireFaultKind, ...] = get_args(WireFaultKind)


@dataclass(frozen=True, slots=True)
class WireFault:
    """One way in which an answer does not come as the server gave it.

    - `refuse`: the connection is dropped before anything is answered.
    - `reset`: it is reset, behind what is let through.
    - `stall`: nothing more comes, and the connection stays.
    - `drip`: the answer comes whole, a few bytes at a time.
    - `truncate`: it ends in good order, in the middle of a document.
    - `garbage`: instead of the next document, text that is no JSON.
    - `html`: a page, with status 200.
    - `status`: an HTTP status; inside a stream, an event that tells it.
    - `vanish`: the model is not served any more, as both servers say it.
    - `no_logprobs`, `null_logprobs`, `nan_logprobs`, `infinite_logprobs`: in each document.
    - `empty_choices`: a document that answers nothing.
    - `wrong_json`: each document is JSON of another shape.
    """

    kind: WireFaultKind
    after: int | None = None
    """Events of a stream that are let through before it; None strikes instead of an answer, where that can be."""
    after_bytes: int | None = None
    """The same in bytes of the body, for `reset` and `stall`."""
    status: int = 503
    """Of kind `status`."""
    retry_after: str | None = None
    """What its header `Retry-After` says."""
    pause: float = 0.001
    """Seconds between the pieces of a `drip`."""

    @property
    def changes_documents(self) -> bool:
        """Whether answers come whole, but say something else."""
        return self.kind in _CHANGES

    @property
    def is_in_an_answer(self) -> bool:
        """Whether an answer begins before it; what comes instead of one can come inside a stream only."""
        return self.kind in ("drip", "truncate", "garbage") or (self.after, self.after_bytes) != (None, None)

    def changed(self, raw: bytes) -> bytes:
        """A JSON document as this fault makes it; what is no document stays as it is."""
        try:
            document = json.loads(raw)
        except ValueError:
            return raw
        return json.dumps(_CHANGES[self.kind](document), separators=(",", ":")).encode()


def refusal(status: int, message: str) -> dict[str, Any]:
    """An error as both servers spell it, in an answer and in an event."""
    return {"error": {"message": message, "type": "Error", "param": None, "code": status}}


def _with_logprobs(value: float | None, found: Any) -> Any:
    if isinstance(found, list):
        return [_with_logprobs(value, one) for one in found]
    if not isinstance(found, dict):
        return found
    return {name: _field(value, name, held) for name, held in found.items()}


def _field(value: float | None, name: str, held: Any) -> Any:
    if name == "logprob":
        return value
    if name == "token_logprobs" and isinstance(held, list):
        return [value] * len(held)
    if name == "top_logprobs" and isinstance(held, list):  # by id at vLLM, objects at llama.cpp
        return [
            dict.fromkeys(row, value) if isinstance(row, dict) and "logprob" not in row else _with_logprobs(value, row)
            for row in held
        ]
    return _with_logprobs(value, held)


_TELL_LOGPROBS = ("logprobs", "completion_probabilities", "prompt_logprobs")


def _without_logprobs(found: Any) -> Any:
    if isinstance(found, list):
        return [_without_logprobs(one) for one in found]
    if not isinstance(found, dict):
        return found
    return {name: _without_logprobs(held) for name, held in found.items() if name not in _TELL_LOGPROBS}


def _empty(document: Any) -> Any:
    """No choices at vLLM, no tokens at llama.cpp; of several answers, none."""
    if not isinstance(document, dict):
        return []
    emptied = ("choices", "tokens", "completion_probabilities", "data")
    return {name: [] if name in emptied else held for name, held in document.items()}


def _of_another_shape(document: Any) -> Any:
    if isinstance(document, dict):
        return {name: {"value": held} for name, held in document.items()}
    return {"value": document}


_CHANGES: Mapping[str, Callable[[Any], Any]] = {
    "no_logprobs": _without_logprobs,
    "null_logprobs": partial(_with_logprobs, None),
    "nan_logprobs": partial(_with_logprobs, math.nan),
    "infinite_logprobs": partial(_with_logprobs, -math.inf),
    "empty_choices": _empty,
    "wrong_json": _of_another_shape,
}

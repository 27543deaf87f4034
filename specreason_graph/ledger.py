"""Append-only ledgers of token ids, one a model.

A step is encoded alone, once, for the model that did not write it, and appended; the join is never encoded
anew. So every prompt is ledger + pending step + request, and a server's prefix cache matches to the last block.
"""

from __future__ import annotations

from collections.abc import Sequence

from specreason_graph.endpoint.protocol import Encoded, Endpoint
from specreason_graph.settings import Role
from specreason_graph.state import Step

_PROBE = "A"


def ledger(opening: Sequence[int], steps: Sequence[Step], role: Role) -> list[int]:
    """The ids behind which `role` writes next: its rendered prompt, then every kept step."""
    ids = list(opening)
    for step in steps:
        ids += step_ids(step["ids"], role)
    return ids


def step_ids(ids: dict[str, list[int]], role: Role) -> list[int]:
    """A kept step's ids for one model; `draft` is only there when its tokenizer is not base's."""
    return ids.get(role, ids["base"])


async def encode_step(endpoint: Endpoint, text: str) -> Encoded:
    """A step's ids as this model would read them in the middle of a text.

    A tokenizer may encode a final `.\\n\\n` otherwise than one with text behind it, so a letter is put behind
    and dropped again, when it stayed a token of its own.
    """
    if not text[-1:].isspace():
        return await endpoint.encode(text)
    probed = await endpoint.encode(text + _PROBE)
    if probed.widths and probed.widths[-1] == len(_PROBE):
        return Encoded(probed.ids[:-1], probed.widths[:-1])
    return await endpoint.encode(text)

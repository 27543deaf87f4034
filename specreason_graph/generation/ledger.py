"""Append-only ledgers of token ids, one a model.

A step is encoded alone, once, for the model that did not write it, and appended; the join is never encoded
anew. So every prompt is ledger + pending step + request, and a server's prefix cache matches to the last block.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from specreason_graph.contract.settings import Role
from specreason_graph.contract.state import Step
from specreason_graph.endpoint.ids import Ids, size
from specreason_graph.endpoint.protocol import Encoded, Endpoint

_PROBE = "A"


@dataclass(frozen=True, slots=True)
class Opening:
    """A rendered conversation with the reasoning open, and its hash to know it again on resume."""

    ids: Ids
    hash: str

    @property
    def tokens(self) -> int:
        """Of it in the model's context."""
        return size(self.ids)


@dataclass(slots=True)
class Ledgers:
    """Those of one run: the next node adds its step instead of building them anew."""

    _kept: dict[Role, tuple[list[Step], Ids]] = field(default_factory=dict)

    def of(self, opening: Ids, steps: list[Step], role: Role) -> Ids:
        """The ids behind which `role` writes next: its rendered prompt, then every kept step.

        Forks and edits of the run's thread are noticed: what was built on other steps is built anew.
        """
        known, ids = self._kept.get(role, ([], opening))
        if known != steps:
            if known != steps[: len(known)]:
                known, ids = [], opening
            ids = ids.grown([token for step in steps[len(known) :] for token in step_ids(step["ids"], role)])
            self._kept[role] = [*steps], ids
        return ids

    def clear(self) -> None:
        """Build all of it anew next time."""
        self._kept.clear()


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
    if probed.texts[-1:] == [_PROBE]:
        return Encoded(probed.ids[:-1], probed.texts[:-1])
    return await endpoint.encode(text)

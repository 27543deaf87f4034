"""Append-only ledgers of token ids, one a model.

A step is encoded alone, once, for the model that did not write it, and appended; the join is never encoded
anew. So every prompt is ledger + pending step + request, and a server's prefix cache matches to the last block.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from specreason_graph.contract.settings import Role
from specreason_graph.contract.state import Step
from specreason_graph.endpoint.ids import Ids
from specreason_graph.endpoint.protocol import Encoded, Endpoint

_PROBE = "A"
_RUNS_KEPT = 256


def ledger(opening: Ids, steps: Sequence[Step], role: Role) -> Ids:
    """The ids behind which `role` writes next: its rendered prompt, then every kept step."""
    return opening.grown([token for step in steps for token in step_ids(step["ids"], role)])


@dataclass(slots=True)
class Ledgers:
    """The last ledger of each of some runs: the next node adds its step instead of building it anew."""

    _kept: OrderedDict[tuple[str, Role], tuple[list[Step], Ids]] = field(default_factory=OrderedDict)

    def of(self, run: str, opening: Ids, steps: list[Step], role: Role) -> Ids:
        """`ledger`, where `run` names the run's opening; forks and edits of its thread are noticed."""
        known, ids = self._kept.pop((run, role), ([], opening))
        if known != steps:
            if known != steps[: len(known)]:
                known, ids = [], opening
            known, ids = [*steps], ledger(ids, steps[len(known) :], role)
        self._kept[run, role] = known, ids
        if len(self._kept) > _RUNS_KEPT:
            self._kept.popitem(last=False)
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

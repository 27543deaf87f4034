"""The two models of a server, at the pace of known hardware (`specreason_graph/tools/profiles.toml`)."""

from __future__ import annotations

from typing import Literal

from specreason_graph.contract.settings import Role
from specreason_graph.testing import Engine, Pace
from specreason_graph.testing.pace import PLAIN, Decoder, ServerPace
from specreason_graph.tools.profiles import Profile

Server = Literal["ideal", "step_synchronous"]
"""A `Pace`, where no request disturbs another, or an `Engine`, which advances in steps as vLLM does."""
SERVERS: tuple[Server, ...] = ("ideal", "step_synchronous")


def paced(profile: Profile, role: Role, server: Server, decoder: Decoder = PLAIN) -> ServerPace:
    """A server's timings."""
    rate = profile.prompt_tokens_per_second(role)
    if server == "ideal":
        return Pace(profile.round_trip + profile.step(role), profile.step(role), rate, decoder)
    return Engine(
        step=profile.step(role),
        per_sequence=profile.per_sequence * profile.step(role),
        prompt_tokens_per_second=rate,
        round_trip=profile.round_trip,
        budget=profile.budget,
        decoder=decoder,
    )

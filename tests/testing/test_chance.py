"""Faults by chance: the same ones whoever comes first, and none for good."""

from __future__ import annotations

import aiohttp

from specreason_graph.testing import Chance, FaultProxy, Script, ScriptedServer, WireFault

REQUESTS = [f'{{"seed": {n}}}'.encode() for n in range(400)]
FAULTS = (WireFault("refuse"), WireFault("status", status=429))


def met(chance: Chance, requests: list[bytes]) -> dict[bytes, WireFault | None]:
    return {body: chance.of("/v1/completions", body) for body in requests}


def test_what_a_request_meets_is_drawn_from_the_seed_and_the_request() -> None:
    """Guards repeatable soaks: 32 runs at once send their requests in another order each time."""
    forwards, backwards = met(Chance(0.1, FAULTS, seed=1), REQUESTS), met(Chance(0.1, FAULTS, seed=1), REQUESTS[::-1])
    assert forwards == backwards
    assert forwards != met(Chance(0.1, FAULTS, seed=2), REQUESTS)


def test_a_share_of_the_requests_meets_each_of_the_faults() -> None:
    chance = Chance(0.1, FAULTS)
    struck = [fault for fault in met(chance, REQUESTS).values() if fault is not None]
    assert 20 < len(struck) < 60
    assert {*struck} == {*FAULTS}
    assert chance.met.total() == len(struck)


def test_a_request_that_is_sent_again_is_drawn_anew() -> None:
    """Or none that met a fault would ever come through."""
    chance = Chance(0.5, FAULTS)
    assert all(None in {chance.of("/v1/completions", body) for _ in range(20)} for body in REQUESTS[:20])


async def test_a_proxy_meets_by_chance_what_is_not_planned() -> None:
    chance = Chance(1.0, [WireFault("status", status=429)])
    async with (
        ScriptedServer(Script(["3 + 4 = 7."])) as server,
        FaultProxy(server.url, chance) as proxy,
        aiohttp.ClientSession() as client,
    ):
        proxy.fail(WireFault("vanish"))
        statuses = [(await client.get(f"{proxy.url}/v1/models")).status for _ in range(2)]
    assert statuses == [404, 429]
    assert chance.met == {"status": 1}

"""Several servers of one model behind one endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.endpoint import Endpoint, connect
from specreason_graph.endpoint.protocol import End, Sampling, Token
from specreason_graph.testing import Fault, Script, ScriptedServer

PROMPT = [5, 6, 7]
GREEDY = Sampling(temperature=0.0, top_p=1.0, seed=0)
FULL = Fault("status", status=503)


@asynccontextmanager
async def running(*servers: ScriptedServer, patience: float = 0.0) -> AsyncIterator[Endpoint]:
    """These servers behind one endpoint, tried in this order where no session says another."""
    async with AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(server)
        endpoint = connect("base", one_of(servers).model_copy(update={"patience": patience}))
        stack.push_async_callback(endpoint.aclose)
        yield endpoint


def one_of(servers: Sequence[ScriptedServer]) -> EndpointConfig:
    return EndpointConfig(base_url=servers[0].url, replicas=tuple(server.url for server in servers[1:]))


def some(count: int) -> list[ScriptedServer]:
    return [ScriptedServer(Script(["One cow."])) for _ in range(count)]


async def stopped(server: ScriptedServer) -> None:
    await server.__aexit__(None, None, None)


async def generated(endpoint: Endpoint) -> list[Token | End]:
    async with aclosing(endpoint.generate(PROMPT, max_tokens=50, sampling=GREEDY)) as stream:
        return [said async for said in stream]


async def asked(endpoint: Endpoint, servers: Sequence[ScriptedServer]) -> ScriptedServer:
    """The server that answers a request."""
    before = [len(server.completions) for server in servers]
    await endpoint.read([PROMPT])
    return next(
        s for s, n in zip(servers, before, strict=True) if len(s.completions) > n and s.completions[-1].complete
    )

"""A gateway on scripted servers, on a real port of this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from openai import AsyncOpenAI
from pydantic import SecretStr

from specreason_graph.testing import Pace, Script, ScriptedPair, ScriptedServer, scripted_pair
from specreason_graph.use.gateway import Gateway, Keys, Limits, create_app, opened
from specreason_graph.use.gateway.server import Server, listening

STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", "So 12."]
WRONG = ["There are 3 cows.", "3 * 4 = 11 legs.", "So 12."]
BASE = Script(STEPS, answer="There are 12 legs.", scores=[9, 3, 9])
DRAFT = Script(WRONG)
REASONING = "\n\n".join(STEPS)
QUESTION: Any = [{"role": "user", "content": "How many legs have 3 cows?"}]
KEY = "open sesame"


def calls(*arguments: tuple[str, dict[str, Any]]) -> str:
    """Some calls as a model writes them."""
    return "\n".join(
        f'<tool_call>\n{{"name": "{name}", "arguments": {json.dumps(given)}}}\n</tool_call>'
        for name, given in arguments
    )


SHOPPING: Any = [{"role": "user", "content": "What do 3 bottles of milk cost?"}]
SHOPPER = Script(
    ["The price is not known.", "I look it up."],
    answer=calls(("price", {"of": "milk"})),
    then=[Script(["A bottle costs 2.", "3 * 2 = 6."], answer="They cost 6 euros.")],
)
"""Looks a price up, and answers behind the result."""
PRICE: Any = {
    "type": "function",
    "function": {
        "name": "price",
        "description": "What something costs, in euros.",
        "parameters": {"type": "object", "properties": {"of": {"type": "string"}}, "required": ["of"]},
    },
}


@dataclass(frozen=True)
class Served:
    """What runs."""

    url: str
    server: Server
    gateway: Gateway
    servers: ScriptedPair

    @property
    def client(self) -> AsyncOpenAI:
        """OpenAI's own, to be used as a context manager; it does not try again."""
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key=KEY, max_retries=0)

    @property
    def http(self) -> httpx.AsyncClient:
        """For what OpenAI's client would not send or show, likewise."""
        return httpx.AsyncClient(base_url=self.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=20)


def asking(**changes: Any) -> dict[str, Any]:
    """The body of a request."""
    return {"model": "specreason", "messages": QUESTION, **changes}


def slow(script: Script, seconds_per_token: float = 0.02, *, role: str = "base", **options: Any) -> ScriptedServer:
    """A server that takes its time, so that something can happen meanwhile."""
    pace = Pace(seconds_per_token=seconds_per_token)
    return ScriptedServer(script, template="think", model=f"scripted-{role}", pace=pace, **options)


class Quiet(Server):
    """Leaves the signals of the tests' own process alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def served(
    base: Script | ScriptedServer = BASE,
    draft: Script | ScriptedServer = DRAFT,
    *,
    template: Any = "think",
    limits: Limits | None = None,
    keys: Keys | None = None,
    origins: Sequence[str] = (),
    open_metrics: bool = False,
    **options: Any,
) -> AsyncIterator[Served]:
    """Run both model servers and the gateway in the loop of the test; its pairs are `default` and `other`."""
    async with scripted_pair(base, draft, template=template) as servers:
        configs = {"default": servers.config, "other": servers.config}
        async with opened(configs, keys=keys or Keys({"tester": SecretStr(KEY)}), **options) as gateway:
            with listening("127.0.0.1", 0) as listener:
                app = create_app(gateway, limits, origins=origins, open_metrics=open_metrics)
                server = Quiet(app, gateway.jobs, limits)
                serving = asyncio.create_task(server.serve(sockets=[listener]))
                await until(lambda: server.started)
                try:
                    yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", server, gateway, servers)
                finally:
                    await gateway.jobs.stop()
                    server.should_exit = True
                    await serving


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that happens by itself, half a minute at most."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)

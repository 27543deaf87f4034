"""What the llama.cpp client keeps between requests, on a server that answers no more than these tests need."""

from __future__ import annotations

from aiohttp import web

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.endpoint import connect


async def test_all_runs_share_what_is_known_of_the_slots() -> None:
    """Each has its own view of the endpoint, and yet must not throw out another one's prefix."""
    seen: list[tuple[str | None, int]] = []

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "m"}]})

    async def props(_: web.Request) -> web.Response:
        return web.json_response({"default_generation_settings": {"n_ctx": 100}, "total_slots": 2})

    async def completion(request: web.Request) -> web.Response:
        seen.append((request.headers.get("X-Session-ID"), (await request.json())["id_slot"]))
        token = {"id": 1, "logprob": -0.1}
        probabilities = [token | {"top_logprobs": [token]}]
        answer = {"completion_probabilities": probabilities, "tokens_evaluated": 3, "tokens_predicted": 1, "index": 0}
        return web.json_response([answer])

    app = web.Application()
    app.add_routes([web.get("/v1/models", models), web.get("/props", props), web.post("/completion", completion)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    endpoint = connect("base", EndpointConfig(base_url=f"http://{host}:{port}", dialect="llamacpp"))
    for _ in range(2):
        for session, first in (("one", 10), ("other", 20)):
            await (await endpoint.pinned(session)).read([[first, first + 1, first + 2]])
    await endpoint.aclose()
    await runner.cleanup()
    assert [session for session, _ in seen] == ["one", "other", "one", "other"]
    assert seen[0][1] != seen[1][1]
    assert seen[:2] == seen[2:]

"""What a scripted server counts, as vLLM's `/metrics` tell it."""

import aiohttp

from specreason_graph.testing import Script, ScriptedServer


async def counted(server: ScriptedServer) -> dict[str, float]:
    async with aiohttp.ClientSession() as client, client.get(f"{server.url}/metrics") as response:
        lines = [line for line in (await response.text()).splitlines() if not line.startswith("#")]
    return {line.partition("{")[0].removeprefix("vllm:"): float(line.rpartition(" ")[2]) for line in lines}


async def write(server: ScriptedServer, tokens: int) -> None:
    body = {"prompt": [1, 2, 3], "max_tokens": tokens}
    async with aiohttp.ClientSession() as client, client.post(f"{server.url}/v1/completions", json=body) as response:
        assert response.status == 200


async def test_every_pass_but_the_prefill_gives_one_token_more_than_was_proposed() -> None:
    async with ScriptedServer(
        Script([], answer="3 cows have 12 legs, and 4 hens have 8 of them."), decodes=3
    ) as server:
        await write(server, 1)  # as a judge reads
        assert (await counted(server))["spec_decode_num_drafts_total"] == 0
        await write(server, 10)
        assert await counted(server) == {
            "generation_tokens_total": 11,
            "spec_decode_num_drafts_total": 3,
            "spec_decode_num_draft_tokens_total": 9,
            "spec_decode_num_accepted_tokens_total": 6,
        }


async def test_a_server_that_does_not_decode_speculatively_has_no_such_metrics() -> None:
    async with ScriptedServer(Script(["3 cows have 12 legs."])) as server:
        assert await counted(server) == {"generation_tokens_total": 0}

"""The way of prompts with images, where something goes wrong on it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from drawings import drawing

from specreason_graph.contract.errors import ConfigError, EndpointRefused, NoLogprobs
from specreason_graph.endpoint import Endpoint, connect, inference
from specreason_graph.endpoint.ids import Ids, images_of
from specreason_graph.endpoint.image import Image
from specreason_graph.testing import Fault, Pace, Script, ScriptedServer
from specreason_graph.testing.inference import INFERENCE
from specreason_graph.use.background import wait_for

from .contract import collected

STEPS = ["There are 3 cows.", "So 3 * 4 = 12 legs."]
RED, BLUE = drawing("red"), drawing("blue")


def server(**options: Any) -> ScriptedServer:
    return ScriptedServer(Script(STEPS, answer="12"), **{"scale_out": True, "sees": True, **options})


async def showing(endpoint: Endpoint, *images: Image) -> Ids:
    rendered = await endpoint.render([{"role": "user", "content": "HERE What is it?"}], {})
    before, _, behind = (await endpoint.decode(rendered)).partition("HERE")
    first, last = [(await endpoint.encode(text, control=True)).ids for text in (before, behind)]
    return Ids([*first, *(await endpoint.sight()).place * len(images), *last], images)


@pytest.fixture
async def running() -> AsyncIterator[tuple[ScriptedServer, Endpoint]]:
    async with server() as it:
        endpoint = connect("base", it.config)
        yield it, endpoint
        await endpoint.aclose()


def sent(server: ScriptedServer) -> list[str]:
    """The images whose bytes a server was sent, without the black one of the first look."""
    parts = [part for record in server.requests for part in record.body.get("content_parts", ())]
    return [part["uuid"] for part in parts if "url" in part and part["uuid"] in (RED.uuid, BLUE.uuid)]


async def test_what_is_grown_out_of_a_prompt_has_its_images() -> None:
    """Guards every prompt of a run: they are all grown out of the first."""
    opening = Ids([1, 2, 3], [RED])
    for prompt in (opening.plus([4]), opening.grown([4]), opening.grown([4]).grown([5]), opening.grown([6]).plus([7])):
        assert images_of(prompt) == (RED,)
    assert images_of([1, 2, 3]) == images_of(Ids([1, 2, 3])) == ()
    assert Ids([1], [RED]).fingerprint != Ids([1], [BLUE]).fingerprint != Ids([1]).fingerprint


async def test_only_what_is_new_is_sent(running: tuple[ScriptedServer, Endpoint]) -> None:
    it, endpoint = running
    await endpoint.look(await showing(endpoint, RED))
    both = await showing(endpoint, RED, BLUE)
    for _ in range(2):
        await collected(endpoint, both, max_tokens=3)
    assert sent(it) == [RED.uuid, BLUE.uuid]


async def test_who_begins_at_the_same_time_waits_for_it_to_be_sent(running: tuple[ScriptedServer, Endpoint]) -> None:
    """Guards runs about one document: each would send it. Images that others send hold up nobody."""
    it, endpoint = running
    prompts = [await showing(endpoint, *images) for images in ([RED], [RED, BLUE], [BLUE], [BLUE, RED])]
    await asyncio.gather(*(endpoint.look(prompt) for prompt in prompts * 2))
    assert sorted(sent(it)) == sorted([RED.uuid, BLUE.uuid])


async def test_where_the_one_that_sends_it_fails_the_others_send_it(running: tuple[ScriptedServer, Endpoint]) -> None:
    """Guards runs whose server hangs: they would wait for each other's patience, one after the other."""
    it, endpoint = running
    prompt = await showing(endpoint, RED)
    it.fail(Fault("status", status=400), path=INFERENCE)
    looks = await asyncio.gather(*(endpoint.look(prompt) for _ in range(3)), return_exceptions=True)
    assert [isinstance(look, EndpointRefused) for look in looks].count(True) == 1
    assert len(sent(it)) == 3


async def test_what_a_server_has_dropped_is_sent_again(running: tuple[ScriptedServer, Endpoint]) -> None:
    """For a stream, a reading and a look, whichever is the first to notice."""
    it, endpoint = running
    prompt = await showing(endpoint, RED)
    for ask in (collected(endpoint, prompt), endpoint.read([prompt, prompt.plus([5])]), endpoint.look(prompt)):
        it.eyes.forget()
        await ask
    assert len(sent(it)) in (3, 4), "two prompts of one reading may both find it gone"


@pytest.mark.parametrize("keeps", [0, 1])
async def test_a_server_that_keeps_few_images_is_sent_them_again(
    keeps: int, running: tuple[ScriptedServer, Endpoint]
) -> None:
    """Guards small caches: one image drives another out while many ask for both, and a name that was right is not."""
    it, endpoint = running
    it.eyes.keeps = keeps
    prompts = [await showing(endpoint, *images) for images in ([RED], [RED, BLUE], [BLUE])]
    whole = [await collected(endpoint, prompt) for prompt in prompts]
    asked = [[prompt, *(prompt.plus([token]) for token in range(4, 15))] for prompt in prompts]
    streams = asyncio.gather(*(collected(endpoint, prompt) for prompt in prompts * 2))
    readings = await asyncio.gather(*(endpoint.read(some) for some in asked * 2))
    assert [len(one.items) for one in readings] == [12] * 6
    assert [passage.ids for passage in await streams] == [passage.ids for passage in whole * 2]


def test_threads_with_event_loops_of_their_own_may_show_one_image_at_once() -> None:
    """Guards agents of several threads on one pair: none can wait for what another's loop sends."""
    it = server(pace=Pace(ttft=0.05))
    wait_for(it.__aenter__())
    endpoint = connect("base", it.config)
    prompt, all_there, failed = wait_for(showing(endpoint, RED)), threading.Barrier(3), []

    def work() -> None:
        async def looks() -> None:
            all_there.wait(10)
            await asyncio.gather(*(endpoint.look(prompt) for _ in range(3)))

        try:
            asyncio.run(looks())
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    wait_for(endpoint.aclose())
    wait_for(it.__aexit__(None, None, None))
    assert not failed
    assert 1 <= len(sent(it)) <= 3


async def test_few_names_are_kept(monkeypatch: pytest.MonkeyPatch, running: tuple[ScriptedServer, Endpoint]) -> None:
    """Guards processes that live long: a name that is forgotten costs a sending, and no more."""
    monkeypatch.setattr(inference, "_MOST", 1)
    it, endpoint = running
    for image in (RED, BLUE, RED):
        await endpoint.look(await showing(endpoint, image))
    assert sent(it) == [RED.uuid, BLUE.uuid, RED.uuid]


async def test_a_stream_that_breaks_goes_on_behind_its_image(running: tuple[ScriptedServer, Endpoint]) -> None:
    it, endpoint = running
    prompt = await showing(endpoint, RED)
    whole = await collected(endpoint, prompt)
    it.fail(Fault("close", after=5), path=INFERENCE)
    again = await collected(endpoint, prompt)
    assert again.ids == whole.ids
    assert len(it.requests[-1].body["token_ids"]) > len(prompt)
    assert it.requests[-1].body["content_parts"] == [{"type": "image_url", "uuid": RED.uuid}]


async def test_a_server_without_log_probabilities_is_told(running: tuple[ScriptedServer, Endpoint]) -> None:
    it, endpoint = running
    prompt = await showing(endpoint, RED)
    for kind in ("no_logprobs", "null_logprobs", "nan_logprobs"):
        it.fail(Fault(kind), path=INFERENCE, times=2)
        with pytest.raises(NoLogprobs):
            await collected(endpoint, prompt)
        with pytest.raises(NoLogprobs):
            await endpoint.read([prompt])


async def test_a_server_without_what_it_needs_names_the_flag() -> None:
    async with server(scale_out=False) as it:
        endpoint = connect("base", it.config)
        sight = await endpoint.sight()
        assert not sight.place
        assert "--enable-scale-out" in sight.why_not
        with pytest.raises(ConfigError, match="--enable-scale-out"):
            await endpoint.look(Ids([1, 2], [RED]))
        await endpoint.aclose()


async def test_a_server_that_sees_from_now_on_is_believed() -> None:
    """Guards processes that live longer than their servers: a text model's word holds for one question."""
    async with server(sees=False) as it:
        endpoint = connect("base", it.config)
        assert "takes no images" in (await endpoint.sight()).why_not
        it._sees = True
        assert (await endpoint.sight()).place
        asked = len(it.requests)
        assert (await endpoint.sight()).place
        assert len(it.requests) == asked, "and asked no more"
        await endpoint.aclose()


async def test_another_replica_is_shown_the_image_when_the_run_comes_to_it() -> None:
    """Guards failover: the second server has never heard the image's name."""
    async with server() as one, server() as two:
        config = one.config.model_copy(update={"replicas": (two.url,), "patience": 0.1})
        endpoint = connect("base", config).pinned("run")
        prompt = await showing(endpoint, RED)
        await endpoint.look(prompt)
        [first] = [it for it in (one, two) if sent(it)]
        first.fail(Fault("close"), path=None, times=None)
        written = await collected(endpoint, prompt, max_tokens=4)
        assert len(written.ids) == 4
        assert sent(one) == sent(two) == [RED.uuid]
        await endpoint.aclose()


async def test_where_one_reading_fails_the_others_are_left() -> None:
    """Guards servers: a judge that has failed asks nothing more of them."""
    async with server(pace=Pace(ttft=30)) as it:
        endpoint = connect("base", it.config)
        prompt = Ids([it.model.tokenizer.id("<|image_pad|>")], [RED])
        it.fail(Fault("status", status=400), path=INFERENCE)
        with pytest.raises(EndpointRefused):
            await endpoint.read([prompt.plus([4]), prompt.plus([5]), prompt.plus([6])])
        await asyncio.wait_for(it.idle(), 5)
        await endpoint.aclose()

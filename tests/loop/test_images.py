"""Runs whose question holds images: every model request goes the way that carries them, and text's way is as before."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from drawings import file
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from specreason_graph import ConfigError, Pair, Settings, create_specreason
from specreason_graph.contract.errors import NoRoom
from specreason_graph.models.presets import Preset
from specreason_graph.testing import Pace, Script, ScriptedPair, ScriptedServer, scripted_pair
from specreason_graph.testing.inference import INFERENCE
from specreason_graph.testing.server import COMPLETIONS

STEPS = [f"Step {n} says that {n} and {n} is {2 * n}." for n in range(1, 6)]
RED, BLUE = file("red"), file("blue")


def shown(*data: bytes, text: str = "What is it?", id: str | None = None) -> HumanMessage:
    images = [{"type": "image", "base64": base64.b64encode(one).decode(), "mime_type": "image/png"} for one in data]
    return HumanMessage([*images, {"type": "text", "text": text}], id=id)


def server(role: str, **options: Any) -> ScriptedServer:
    """Base rejects the third step, and takes its time."""
    pace = Pace(seconds_per_token=0.002 if role == "base" else 0.0)
    script = Script(STEPS, answer="12", scores=[9, 9, 2, 9])
    of = {"template": "think", "sees": True, "scale_out": True, "pace": pace, **options}
    return ScriptedServer(script, model=f"scripted-{role}", **of)


@asynccontextmanager
async def pair_of(
    base: ScriptedServer, draft: ScriptedServer, **config: Any
) -> AsyncIterator[tuple[ScriptedPair, Pair]]:
    async with scripted_pair(base, draft) as servers, Pair(servers.config.model_copy(update=config)) as pair:
        yield servers, pair


def urls(server: ScriptedServer) -> list[str]:
    """The bytes that a server was sent, of pictures that are ours."""
    asked = [part for record in server.requests for part in record.body.get("content_parts", ())]
    return [part["url"] for part in asked if "url" in part and len(part["url"]) > 200]


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("judge", ["paper", "likelihood"])
async def test_every_node_goes_the_way_that_carries_images(judge: str, overlap: bool) -> None:
    """Draft, hedge, look-ahead, judge, regenerate and answer; each server is sent the image once."""
    async with pair_of(server("base"), server("draft")) as (servers, pair):
        settings = Settings(judge=judge, look_ahead=overlap, hedge=overlap)
        graph = create_specreason(pair=pair, settings=settings).compile()
        state = await graph.ainvoke({"messages": [shown(RED)]})
        for it in (servers.base, servers.draft):
            assert not it.completions, "a prompt of text has lost the image"
            assert len(urls(it)) == 1
    assert [step["text"].strip() for step in state["specreason_steps"]] == STEPS
    assert state["messages"][-1].text == "12"
    asked = [record for record in servers.base.requests if record.path == INFERENCE]
    assert {part["uuid"] for record in asked[1:] for part in record.body["content_parts"]} == {
        record.body["content_parts"][0]["uuid"] for record in asked[1:2]
    }


async def test_the_ledger_and_the_cache_are_those_of_text() -> None:
    """One placeholder stays one id however the image is counted, and what is behind it is read once."""
    async with pair_of(server("base"), server("draft")) as (servers, pair):
        graph = create_specreason(pair=pair, settings=Settings(hedge=False)).compile()
        state = await graph.ainvoke({"messages": [shown(RED)]})
    _tried, looked, *asked = [record for record in servers.base.requests if record.path == INFERENCE]
    opening = looked.body["token_ids"]
    assert opening.count(servers.base.model.tokenizer.id("<|image_pad|>")) == 1
    assert all(record.body["token_ids"][: len(opening)] == opening for record in asked)
    assert min(record.cached_tokens for record in asked) >= len(looked.prompts[0]) - 16
    assert state["specreason_usage"]["judge"]["cached_tokens"] > 0


async def test_another_image_is_another_question() -> None:
    """Guards resume: a run whose image was exchanged would go on behind what was reasoned about the other one."""
    script = Script(["It is an image."], asked=lambda asked: Script([f"It is {asked[:60]}."], answer=asked[:40]))
    base = ScriptedServer(script, template="think", sees=True, scale_out=True, model="scripted-base")
    draft = ScriptedServer(script, template="think", sees=True, scale_out=True, model="scripted-draft")
    async with pair_of(base, draft) as (_, pair):
        graph = create_specreason(pair=pair).compile()
        red, blue = [await graph.ainvoke({"messages": [shown(data)]}) for data in (RED, BLUE)]
    assert red["messages"][-1].text != blue["messages"][-1].text
    assert red["specreason_run"]["openings"] != blue["specreason_run"]["openings"]


async def test_what_a_server_has_dropped_is_sent_again() -> None:
    """A server that was started anew, or whose cache was full, has no image under the name that it was given."""
    async with pair_of(server("base"), server("draft")) as (servers, pair):
        graph = create_specreason(pair=pair).compile()
        await graph.ainvoke({"messages": [shown(RED)]})
        servers.base.eyes.forget()
        servers.draft.eyes.forget()
        state = await graph.ainvoke({"messages": [shown(RED)]})
        assert len(urls(servers.base)) == 2
    assert state["messages"][-1].text == "12"


async def test_text_sends_what_it_did_before_images_were_known() -> None:
    """Not one byte more, and nothing is asked about images; the same pair may have been asked about one before."""
    sizes = []
    for sees in (False, True):
        async with pair_of(server("base", sees=sees), server("draft", sees=sees)) as (servers, pair):
            graph = create_specreason(pair=pair, settings=Settings(hedge=False, look_ahead=False)).compile()
            if sees:
                await graph.ainvoke({"messages": [shown(RED)]})
            before = len(servers.base.requests)
            await graph.ainvoke({"messages": [HumanMessage("How many legs have 3 cows?")]})
            later = servers.base.requests[before:]
            assert INFERENCE not in {record.path for record in later}
            assert not any("content_parts" in record.body for record in later)
            sizes.append([record.size for record in later if record.path == COMPLETIONS])
    assert sizes[0] == sizes[1]


BLIND = [{"sees": False}, {"tokenizer": "b", "sees": False}, {"scale_out": False}]


@pytest.mark.parametrize("options", BLIND)
async def test_a_draft_that_sees_nothing_is_told_in_words_where_the_preset_has_some(options: Any) -> None:
    """And refused where it has none: a draft that guesses at an image is worse than no draft."""
    async with pair_of(server("base"), server("draft", **options)) as (servers, pair):
        with pytest.raises(ConfigError, match=r"image_words.*leave the images out"):
            await create_specreason(pair=pair).compile().ainvoke({"messages": [shown(RED)]})
        thinking = {"name": "with-words", "image_words": "(an image that only the other model sees)"}
        preset = _preset().model_copy(update=thinking)
        graph = create_specreason(pair=pair, presets=[preset], settings=Settings(preset="with-words")).compile()
        state = await graph.ainvoke({"messages": [shown(RED)]})
        told = servers.draft.model.tokenizer.spell(servers.draft.completions[0].prompts[0]).decode()
        assert not servers.base.completions
    assert "(an image that only the other model sees)What is it?" in told
    assert "SHOWN" not in told
    assert state["messages"][-1].text == "12"


def _preset() -> Preset:
    from specreason_graph.judging.catalog import builtin

    return builtin().presets["thinking"]


@pytest.mark.parametrize("options", BLIND[::2])
async def test_base_has_to_see(options: Any) -> None:
    """The judge could not tell otherwise; and earlier images are told as a word, as they always were."""
    async with pair_of(server("base", **options), server("draft")) as (servers, pair):
        graph = create_specreason(pair=pair).compile()
        with pytest.raises(ConfigError, match=r"takes no images|--enable-scale-out"):
            await graph.ainvoke({"messages": [shown(RED)]})
        said: Any = [shown(RED), AIMessage("Red."), HumanMessage("And twice that?")]
        await graph.ainvoke({"messages": said})
        told = servers.base.model.tokenizer.spell(servers.base.completions[0].prompts[0]).decode()
    assert "(image)What is it?" in told


async def test_an_image_that_leaves_no_room_is_told_before_anything_is_written() -> None:
    async with pair_of(server("base", context=700), server("draft")) as (_, pair):
        graph = create_specreason(pair=pair, settings=Settings(answer_budget=64)).compile()
        with pytest.raises(NoRoom, match=r"images are more tokens than base endpoint .* send smaller images"):
            await graph.ainvoke({"messages": [shown(file("red", (900, 900)))]})
        with pytest.raises(NoRoom, match="leave no room to reason"):
            await graph.ainvoke({"messages": [shown(file("red", (700, 700)))]})


async def test_a_conversation_goes_on_behind_its_images() -> None:
    """Earlier images stay before the models, and a reply's own tokens are gone by where it holds them."""
    async with pair_of(server("base"), server("draft")) as (servers, pair):
        graph = create_specreason(pair=pair).compile()
        first = await graph.ainvoke({"messages": [shown(RED)]})
        more = [*first["messages"], shown(BLUE, text="And this?")]
        state = await graph.ainvoke({"messages": more})
        last = [record for record in servers.base.requests if record.path == INFERENCE][-1]
    assert state["messages"][-1].text == "12"
    assert len(last.body["content_parts"]) == 2


async def test_control_tokens_beside_an_image_stay_text() -> None:
    """What somebody typed is no placeholder: it would take an image's place."""
    async with pair_of(server("base"), server("draft")) as (servers, pair):
        graph = create_specreason(pair=pair).compile()
        await graph.ainvoke({"messages": [shown(RED, text="What does <|image_pad|> mean? SHOWN0E <|im_end|>")]})
        record = [record for record in servers.base.requests if record.path == INFERENCE][-1]
        tokenizer = servers.base.model.tokenizer
    place = tokenizer.id("<|image_pad|>")
    assert record.body["token_ids"].count(place) == 1
    assert "What does <|image_pad|> mean? SHOWN0E <|im_end|>" in tokenizer.spell(record.body["token_ids"]).decode()


async def test_a_thread_holds_an_image_once_and_a_resumed_run_finds_it(tmp_path: Path) -> None:
    """Guards disks: a run has hundreds of checkpoints, and each of SQLite's would hold the bytes anew."""
    said, path = shown(RED, id="q"), str(tmp_path / "run.sqlite")
    thread: Any = {"configurable": {"thread_id": "t"}}
    async with pair_of(server("base"), server("draft")) as (_, pair):
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            graph = create_specreason(pair=pair).compile(checkpointer=saver, interrupt_before=["regenerate"])
            await graph.ainvoke({"messages": [said]}, thread)
        async with AsyncSqliteSaver.from_conn_string(path) as saver, Pair(pair.config) as another:
            state = await create_specreason(pair=another).compile(checkpointer=saver).ainvoke(None, thread)
            checkpoints = [repr(it.checkpoint["channel_values"]) async for it in saver.alist(thread)]
    bytes_in = [base64.b64encode(RED).decode() in told for told in checkpoints]
    assert len(bytes_in) > 10
    assert sum(bytes_in[1:-3]) == 0, "but for the question as it came, and the reply"
    assert state["messages"][0] == said
    assert state["messages"][-1].text == "12"


async def test_messages_leave_the_graph_as_they_came() -> None:
    """Guards whoever goes on with them elsewhere: a reference of ours means nothing to another model."""
    async with pair_of(server("base"), server("draft")) as (_, pair):
        graph = create_specreason(pair=pair).compile()
        state = await graph.ainvoke({"messages": [shown(RED)]})
        late = await graph.ainvoke({"messages": [shown(RED)]}, context=Settings(deadline=0.001, answer_reserve=0))
    for found in (state, late):
        assert found["messages"][0].content == shown(RED).content
        assert found["messages"][-1].type == "ai"


async def test_a_stream_of_messages_has_the_reply_alone() -> None:
    """Guards chats: that the question's bytes are put away and back is nobody's to see."""
    async with pair_of(server("base"), server("draft")) as (_, pair):
        graph = create_specreason(pair=pair).compile()
        stream = graph.astream({"messages": [shown(RED, id="q")]}, stream_mode="messages")
        said = [message async for message, _ in stream]
    assert {message.type for message in said} == {"AIMessageChunk"}
    assert "".join(message.text for message in said) == "12"


async def test_a_second_question_on_a_thread_sees_the_first_ones_image() -> None:
    """And the thread's images are still there once: bytes are put away again, under the same name."""
    thread: Any = {"configurable": {"thread_id": "t"}}
    async with pair_of(server("base"), server("draft")) as (servers, pair):
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver())
        await graph.ainvoke({"messages": [shown(RED)]}, thread)
        state = await graph.ainvoke({"messages": [HumanMessage("And twice that?")]}, thread)
        asked = [record for record in servers.base.requests if record.path == INFERENCE]
        held = (await graph.aget_state(thread)).values
    assert len(held["specreason_images"]) == 1
    assert len(asked[-1].body["content_parts"]) == 1
    assert [message.type for message in state["messages"]] == ["human", "ai", "human", "ai"]

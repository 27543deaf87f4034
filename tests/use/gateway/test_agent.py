"""An agent framework that knows nothing of us: pydantic-ai, with a pair as its model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, UnexpectedModelBehavior
from pydantic_ai.messages import ModelMessage, ThinkingPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from specreason_graph.testing import Script

from .served import SHOPPER, SHOPPING, calls, served

QUESTION: str = SHOPPING[0]["content"]
THOUGHTS = ["The price is not known.\n\nI look it up.", "A bottle costs 2.\n\n3 * 2 = 6."]


class Cost(BaseModel):
    """What it all costs."""

    euros: int


@asynccontextmanager
async def shopping(base: Script = SHOPPER) -> AsyncIterator[OpenAIChatModel]:
    """A pair as the framework's model."""
    async with served(base, base) as it, it.client as client:
        yield OpenAIChatModel("specreason", provider=OpenAIProvider(openai_client=client))


def price(of: str) -> int:
    """What something costs, in euros."""
    return {"milk": 2, "bread": 3}[of]


def thoughts(messages: list[ModelMessage]) -> list[str]:
    return [part.content for message in messages for part in message.parts if isinstance(part, ThinkingPart)]


async def test_a_loop_with_a_tool() -> None:
    async with shopping() as model:
        run = await Agent(model, tools=[price]).run(QUESTION)
    assert run.output == "They cost 6 euros."
    assert thoughts(run.all_messages()) == THOUGHTS
    assert run.usage.tool_calls == 1


async def test_a_loop_in_a_stream() -> None:
    async with shopping() as model:
        async with Agent(model, tools=[price]).run_stream(QUESTION) as run:
            text = "".join([piece async for piece in run.stream_text(delta=True)])
        assert thoughts(run.all_messages()) == THOUGHTS
    assert text == "They cost 6 euros."


async def test_a_second_question_in_the_same_conversation() -> None:
    """Guards histories with calls: the framework sends them back in its own words."""
    async with shopping() as model:
        agent = Agent(model, tools=[price], instructions="Be brief.")
        first = await agent.run(QUESTION)
        second = await agent.run("And again?", message_history=first.all_messages())
    assert second.output == "They cost 6 euros."


async def test_an_output_that_is_a_tool_and_one_that_is_a_schema() -> None:
    """The framework demands a call at each turn of the first."""
    report = calls(("final_result", {"euros": 6}))
    by_tool = Script(SHOPPER.steps, answer=SHOPPER.answer, then=[Script(["3 * 2 = 6."], answer=report)])
    async with shopping(by_tool) as model:
        assert (await Agent(model, tools=[price], output_type=Cost).run(QUESTION)).output == Cost(euros=6)
    by_schema = Script(SHOPPER.steps, answer=SHOPPER.answer, then=[Script(["3 * 2 = 6."], answer='{"euros": 6}')])
    async with shopping(by_schema) as model:
        agent = Agent(model, tools=[price], output_type=NativeOutput(Cost))
        assert (await agent.run(QUESTION)).output == Cost(euros=6)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_was_cut_is_not_executed(stream: bool) -> None:
    asked = []

    def ask(of: str = "anything") -> str:
        """What something costs; all have a default, so that even nothing can be called."""
        asked.append(of)
        return "2"

    chatty = Script(["Look it up."], answer=calls(("ask", {"of": "a bottle of fresh milk from the farm"})))
    async with shopping(chatty) as model:
        agent = Agent(model, tools=[ask], model_settings=ModelSettings(max_tokens=18), retries=0)
        with pytest.raises(UnexpectedModelBehavior):  # noqa: PT012
            if stream:
                async with agent.run_stream(QUESTION) as run:
                    await run.get_output()
            else:
                await agent.run(QUESTION)
    assert asked == []

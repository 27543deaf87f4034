"""LangChain's own suites for chat models; what is not supported says so through their flags."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from specreason_graph import ChatSpecReason, EndpointConfig, Pair, PairConfig, Settings
from specreason_graph.models.embedded import embedded_pair
from specreason_graph.models.weights import pull
from specreason_graph.testing import Script, scripted_pair
from specreason_graph.use.background import wait_for

NOWHERE = EndpointConfig(base_url="http://127.0.0.1:9")
JOKE = '{"setup": "Why do cats sit on keyboards?", "punchline": "To keep an eye on the mouse."}'


def calling(name: str, **arguments: Any) -> Script:
    """A model that calls a tool, and answers when it has the result."""
    said = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return Script(["I know a tool."], answer=f"<tool_call>\n{said}\n</tool_call>", then=[Script(["I know it now."])])


JOKES = Script(["Cats it is.", "Cats like mice.", "So a mouse."], answer=JOKE)
SCRIPTS = {
    "test_tool_calling": calling("magic_function", input=3),
    "test_tool_calling_async": calling("magic_function", input=3),
    "test_tool_calling_with_no_arguments": calling("magic_function_no_args"),
    "test_tool_choice": calling("get_weather", location="here"),
    "test_bind_runnables_as_tools": calling("greeting_generator", answer_style="pirate"),
    "test_structured_few_shot_examples": calling("my_adder_tool", a=3, b=4),
    "test_agent_loop": calling("get_weather", location="San Francisco, CA"),
    "test_unicode_tool_call_integration": calling("unicode_customer", customer_name="你好こんにちは", description="?"),
}
"""What the tests that have tools called need; the others are told a joke."""


class Supported:
    """The flags."""

    pair: Pair
    settings = Settings()

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatSpecReason

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"pair": self.pair, "settings": self.settings}

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        # No `timeout` and `max_retries`: all runs share the endpoints, whose configuration says both.
        return {"temperature": 0, "max_tokens": 400, "stop": []}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return False  # a call may only name a configured pair (`pair=`), never a server or a model

    @property
    def supported_usage_metadata_details(self) -> Any:
        return {"invoke": ["reasoning_output"], "stream": ["reasoning_output"]}


class Replies(Supported, ChatModelIntegrationTests):
    """What the suite asks of a model that it can't make up."""

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        model = ChatSpecReason(**self.chat_model_params)
        if not stream:
            return model.invoke("What is 3 * 4?")
        first, *others = model.stream("What is 3 * 4?")
        return cast(AIMessage, sum(others, first))


class TestUnit(Supported, ChatModelUnitTests):
    pair = Pair(PairConfig(base=NOWHERE, draft=NOWHERE))


@pytest.fixture
def scripted(request: pytest.FixtureRequest) -> Iterator[Pair]:
    stack = AsyncExitStack()
    script = SCRIPTS.get(request.function.__name__, JOKES)
    servers = wait_for(stack.enter_async_context(scripted_pair(script, script, template="think")))
    yield Pair(servers.config)
    wait_for(stack.aclose())


class TestScripted(Replies):
    @pytest.fixture(autouse=True)
    def _use(self, scripted: Pair) -> None:
        self.pair = scripted


@pytest.fixture(scope="module")
def embedded() -> Iterator[Pair]:
    with embedded_pair(pull("cross-tokenizer"), context=2048) as config:
        pair = Pair(config)
        yield pair
        wait_for(pair.aclose())


@pytest.mark.real_models
@pytest.mark.timeout(300)
class TestEmbedded(Replies):
    settings = Settings(reasoning_budget=64, step_tokens=32, max_steps=3)  # two cores write 40 tokens a second

    @pytest.fixture(autouse=True)
    def _use(self, embedded: Pair) -> None:
        self.pair = embedded

"""How tests run the graph: on two scripted servers, as a user would."""

from __future__ import annotations

import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pytest
from langchain_core.messages import HumanMessage
from real_vllm import seeing
from real_vllm.servers import plan, serving

from specreason_graph import Pair, PairConfig, Settings, create_specreason
from specreason_graph.contract.state import SpecReasonState, Step
from specreason_graph.testing import Script, ScriptedServer, scripted_pair


@dataclass(frozen=True)
class Solved:
    """What a run came to, and the servers that it ran on."""

    state: SpecReasonState
    events: list[dict[str, Any]]
    base: ScriptedServer
    draft: ScriptedServer

    @property
    def steps(self) -> list[Step]:
        """The kept steps."""
        return self.state["specreason_steps"]

    @property
    def texts(self) -> list[str]:
        """Their texts without the blank lines around them."""
        return [step["text"].strip() for step in self.steps]


class Solve(Protocol):
    """The `solve` fixture."""

    def __call__(
        self,
        base: Script | ScriptedServer,
        draft: Script | ScriptedServer,
        *,
        template: str = ...,
        question: str = ...,
        **settings: Any,
    ) -> Awaitable[Solved]: ...


def pytest_configure() -> None:
    """Signals mean what they do in a terminal: `nohup` and background jobs hand ignored ones down to every command."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(scope="session")
def vllm_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PairConfig]:
    """Two real vLLM servers with two tokenizers, started once, when a test wants them."""
    args = ["--enable-scale-out", "--trust-request-chat-template"]
    text = plan("qwen2.5-coder-0.5b", "smollm2-135m", base_args=args)
    with serving(tmp_path_factory.mktemp("vllm"), text) as it:
        yield it


@pytest.fixture(scope="session")
def seeing_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PairConfig]:
    """Two real vLLM servers whose models take images, started once, when a test wants them."""
    seeing.make()
    args = ["--dtype", "float32", "--enable-scale-out", "--limit-mm-per-prompt", '{"image": 4, "video": 0}']
    more = {"base_args": args, "draft_args": args, "max_model_len": seeing.CONTEXT}
    text = plan("seeing-base", "seeing-draft", **more)
    with serving(tmp_path_factory.mktemp("seeing"), text, seeing.imports()) as it:
        yield it.model_copy(update={"preset": "instruct"})


@pytest.fixture
def solve() -> Solve:
    """Run the graph once; settings are the run's context."""

    async def run(
        base: Script | ScriptedServer,
        draft: Script | ScriptedServer,
        *,
        template: Any = "think",
        question: str = "How many legs have 3 cows?",
        **settings: Any,
    ) -> Solved:
        async with scripted_pair(base, draft, template=template) as servers, Pair(servers.config) as pair:
            graph = create_specreason(pair=pair).compile()
            events: list[dict[str, Any]] = []
            state: dict[str, Any] = {}
            async for part in graph.astream(
                {"messages": [HumanMessage(question)]},
                {"recursion_limit": 1000},
                context=Settings(**settings),
                stream_mode=["custom", "values"],
                version="v2",
            ):
                if part["type"] == "custom":
                    events.append(part["data"])
                else:
                    state = part["data"]
            return Solved(state, events, servers.base, servers.draft)  # type: ignore[arg-type]

    return run


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait for something that another thread or process does."""

    def wait(condition: Callable[[], object], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.01)

    return wait

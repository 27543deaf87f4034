"""One trace in one mode, by the real graph over real HTTP, against servers at a pace."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from critical_path import Lengths, Mode, base_alone, critical_path
from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.graph.state import CompiledStateGraph
from paced_profiles import Server, paced
from paced_servers import Request, ServerProcess
from paced_traces import ANSWER, Trace, scripts_of

from specreason_graph import Pair, PairConfig, Settings, create_specreason
from specreason_graph.contract.errors import SpecReasonError
from specreason_graph.generation.passage import Bounds, collect
from specreason_graph.judging.catalog import builtin
from specreason_graph.models.conversation import chat_messages
from specreason_graph.testing import Decoder, tokenizer
from specreason_graph.testing.pace import PLAIN
from specreason_graph.testing.tokenizer import END_OF_TURN
from specreason_graph.tools.profiles import Profile

BASE = "base"
"""Base alone, in one generation."""
AUTO = "auto"
"""Both overlaps where the gate lets them."""
MODES: dict[str, Mode] = {
    "sequential": Mode(look_ahead=False, hedge=False),
    "look_ahead": Mode(look_ahead=True, hedge=False),
    "hedge": Mode(look_ahead=False, hedge=True),
    "both": Mode(look_ahead=True, hedge=True),
}
# The paper's judge, cut to as many of the scripted tokenizer's tokens as the paper's request has of a real one's.
JUDGE = (
    builtin()
    .judge("paper")
    .model_copy(
        update={"name": "paced", "request": "Is the step so?" + " the step" * 21, "prefill": "{open}The number is "}
    )
)
PRESET = builtin().presets["thinking"]
LENGTHS = Lengths(opening=29, request=70, cue=2, answer=3)
"""Of every question here; what a run's efficiency is measured by is read off its own servers."""
_BUDGET = 60_000  # tokens; no run reaches it


@dataclass(frozen=True, slots=True)
class Solved:
    """One problem: wall-clock, what could not have been avoided of it, and what the servers were asked."""

    seconds: float
    unavoidable: float
    requests: list[Request]


@dataclass(frozen=True, slots=True)
class Stage:
    """The servers of some traces at one pace, the pair that reaches them, and the compiled graph."""

    traces: Sequence[Trace]
    """Question number n goes the way of the n-th, and so on in turn."""
    profile: Profile
    decoder: Decoder
    """Inside base."""
    pair: Pair
    graph: CompiledStateGraph[Any, Any, Any, Any]
    requests: list[Request]
    """Complete once the stage is down."""

    async def solve(self, mode: str, number: int = 0, judge: str = JUDGE.name) -> float:
        """Seconds that a question takes; questions of different numbers share no more than the prompt's beginning.

        Args:
            mode: base alone, or what overlaps.
            number: of the question.
            judge: who decides: the paper's, or base's likelihood read from one prompt.

        Raises:
            SpecReasonError: it was not solved as the trace says.
        """
        question = _question(number)
        began = time.perf_counter()
        if mode == BASE:
            said = await self._base(question)
        else:
            state = await self.graph.ainvoke({"messages": question}, context=settings(mode, judge))
            said = "".join(step["text"] for step in state["specreason_steps"]) + str(state["specreason_answer"])
        seconds = time.perf_counter() - began
        if said != self.expected(number):
            raise SpecReasonError(f"mode {mode} went another way than its trace: {said[-200:]!r}")
        return seconds

    def expected(self, number: int) -> str:
        """What every mode comes to."""
        texts = self.traces[number % len(self.traces)].scripts()[0].steps
        return PRESET.boundary.join(map(str, texts)) + ANSWER  # type: ignore[arg-type]

    async def unavoidable(self, mode: str) -> float:
        """Seconds of the first trace's calls that had to be made one behind the other."""
        return unavoidable(self.traces[0], self.profile, await lengths_of(self.pair), mode, self.decoder)

    async def _base(self, question: list[AnyMessage]) -> str:
        """The reasoning in one generation, then the answer, as `finalize` has it written."""
        base, sampling = self.pair.base, PRESET.sampling(Settings(), seed=0)
        opening = await self.pair.opening("base", chat_messages(question, PRESET), PRESET)
        close = (await self.pair.closings("base", PRESET)).marker
        reasoning = await collect(base, opening.ids, Bounds(_BUDGET), sampling, close=close)
        cue = (await base.encode(PRESET.answer_cue, control=True)).ids
        answer = await collect(base, [*opening.ids, *reasoning.ids, *cue], Bounds(100), sampling)
        return reasoning.text + answer.text.strip()


def unavoidable(trace: Trace, profile: Profile, lengths: Lengths, mode: str, decoder: Decoder) -> float:
    """Seconds of the longest chain of calls."""
    if mode == BASE:
        return base_alone(trace, profile, lengths, decoder)
    return critical_path(trace, profile, lengths, MODES[mode], decoder)


def settings(mode: str, judge: str = JUDGE.name) -> Settings:
    """A run's settings; what overlaps is all that differs between modes."""
    overlaps = MODES["both" if mode == AUTO else mode]
    chosen: dict[str, Any] = {"look_ahead": overlaps.look_ahead, "hedge": overlaps.hedge}
    chosen |= {"gate": "auto" if mode == AUTO else "always"}
    chosen |= {"threshold": 7} if judge == JUDGE.name else {}
    return Settings(judge=judge, reasoning_budget=_BUDGET, max_steps=5000, answer_budget=100, **chosen)


@asynccontextmanager
async def stage(
    processes: Sequence[ServerProcess],
    traces: Sequence[Trace],
    profile: Profile,
    server: Server,
    decoder: Decoder = PLAIN,
) -> AsyncIterator[Stage]:
    """Servers with an empty prefix cache, and a pair that has been looked up, as it is once in a client's life.

    Args:
        processes: where base and the draft are served.
        traces: what they say, to each question another.
        profile: at which pace.
        server: which model of a server keeps it.
        decoder: speculative decoding inside base.
    """
    base, draft = scripts_of(traces)
    async with (
        processes[0].serving("base", base, paced(profile, "base", server, decoder)) as (base_config, of_base),
        processes[1].serving("draft", draft, paced(profile, "draft", server)) as (draft_config, of_draft),
    ):
        requests: list[Request] = []
        async with looked_up(PairConfig(base=base_config, draft=draft_config, preset=PRESET.name)) as pair:
            yield Stage(traces, profile, decoder, pair, compiled(pair), requests)
    requests += [*of_base, *of_draft]


@asynccontextmanager
async def looked_up(config: PairConfig) -> AsyncIterator[Pair]:
    """A pair that knows of its servers what it asks once."""
    async with Pair(config) as pair:
        await pair.same_tokenizer()
        await pair.closings("base", PRESET)
        await pair.closings("draft", PRESET)
        await pair.judge_request(JUDGE, PRESET)
        yield pair


def compiled(pair: Pair, **options: Any) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph, which a user compiles once; `options` are those of `compile`."""
    return create_specreason(pair=pair, judges=[JUDGE]).compile(**options)


async def solved(
    processes: Sequence[ServerProcess], trace: Trace, profile: Profile, server: Server, decoder: Decoder, mode: str
) -> Solved:
    """A trace by itself, on servers of its own."""
    async with stage(processes, [trace], profile, server, decoder) as it:
        seconds, unavoidable = await it.solve(mode), await it.unavoidable(mode)
    return Solved(seconds, unavoidable, it.requests)


def _question(number: int) -> list[AnyMessage]:
    return [HumanMessage(f"How many is {number:02} + {number:02}?")]  # all of one length


async def lengths_of(pair: Pair) -> Lengths:
    """Tokens around the steps of a question here."""
    opening = await pair.opening("base", chat_messages(_question(0), PRESET), PRESET)
    cue = await pair.base.encode(PRESET.answer_cue, control=True)
    answer = tokenizer("a").encode(ANSWER + END_OF_TURN)
    request = await pair.judge_request(JUDGE, PRESET)
    return Lengths(len(opening.ids), len(request.suffix), len(cue.ids), len(answer))

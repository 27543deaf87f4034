"""What the gateway serves: pairs of models under their names, and how a request becomes a run on one of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from specreason_graph.contract.config import PairConfig
from specreason_graph.contract.errors import ConfigError, EndpointError, NoRoom
from specreason_graph.contract.settings import Settings
from specreason_graph.endpoint.failures import told_failures
from specreason_graph.judging.policy import FittedPolicy
from specreason_graph.loop.reached import cards
from specreason_graph.loop.watched import told_writing
from specreason_graph.models.conversation import REASONING, last_question
from specreason_graph.models.pair import Pair
from specreason_graph.use.chat_model import ChatSpecReason
from specreason_graph.use.gateway.account import Account
from specreason_graph.use.gateway.ceilings import Ceilings
from specreason_graph.use.gateway.check import check_settings
from specreason_graph.use.gateway.jobs import Job, Jobs
from specreason_graph.use.gateway.keys import Keys
from specreason_graph.use.gateway.metrics import Metrics
from specreason_graph.use.gateway.readiness import Readiness
from specreason_graph.use.gateway.refusal import Refusal
from specreason_graph.use.gateway.request import ChatRequest
from specreason_graph.use.gateway.seen import SeenRuns
from specreason_graph.use.runs import told_states, told_steps

_DEFAULT = "default"
_ANSWERS_SHARE = 4
"""A fourth of the context at most is kept for an answer because of `max_tokens`."""

Reply = tuple[int, AIMessage]
"""A reply with the index of its choice."""
Piece = tuple[int, AIMessageChunk]
"""A piece of one."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Pairs of models, the keys of those who may ask, and the runs that go on."""

    name: str
    """Under which the pair called `default` is served; the others have their own."""
    keys: Keys
    settings: Settings
    """Of every run, where its request sets nothing else."""
    ceilings: Ceilings
    pairs: Mapping[str, Pair]
    model: ChatSpecReason
    jobs: Jobs
    metrics: Metrics
    readiness: Readiness
    keep_alive: float
    """Seconds of silence in a stream."""
    seen: SeenRuns | None = None
    """What `/runs` shows; None: it shows nothing."""
    started: int = field(default_factory=lambda: int(time.time()))

    async def whole(self, request: ChatRequest, account: Account) -> Job[Reply]:
        """Have a request answered, one reply a choice, in whatever order they end.

        Raises:
            ConfigError: it asks for something impossible.
            EndpointError: a server of the pair failed while being asked about its model.
            Refusal: there is no such model, something is above a ceiling, or too many requests wait already.
        """
        settings = await self._settings(request, account)
        samples = [self._reply(request, settings, index, account) for index in range(request.n)]
        return self.jobs.begin(account.key or "", samples)

    async def streamed(self, request: ChatRequest, account: Account) -> Job[Piece]:
        """Have it answered in pieces, those of all choices as they come.

        Raises:
            ConfigError: as above, and all the others.
        """
        settings = await self._settings(request, account)
        samples = [self._pieces(request, settings, index, account) for index in range(request.n)]
        return self.jobs.begin(account.key or "", samples)

    async def cards(self) -> list[dict[str, Any]]:
        """What is served, as `/v1/models` lists it; a pair whose servers were never reached is left out.

        Raises:
            EndpointError: none was.
        """
        cards, down = [], []
        for name in (self.name, *(name for name in self.pairs if name != _DEFAULT)):
            try:
                cards.append(await self.card(name))
            except EndpointError as error:
                down.append(error)
        if not cards:
            raise down[0]
        return cards

    async def card(self, name: str) -> dict[str, Any]:
        """What is served under a name.

        Raises:
            Refusal: nothing is.
            EndpointError: a server of the pair failed.
        """
        pair = self.pairs[self._pair(name)]
        found = await cards(pair, self.settings)
        models = {"base": found.base.name, "draft": found.draft.name or "unknown"}
        card = {"id": name, "object": "model", "created": self.started, "owned_by": "specreason"}
        return {**card, "max_model_len": found.context, "specreason": models}

    def _pair(self, name: str) -> str:
        pair = _DEFAULT if name == self.name else name
        if pair not in self.pairs:
            served = ", ".join(sorted({self.name, *self.pairs}))
            raise Refusal(
                404, f"model: there is no {name[:80]!r}; served are {served}", param="model", code="model_not_found"
            )
        return pair

    async def _settings(self, request: ChatRequest, account: Account) -> Settings:
        pair = str(request.specreason.get("pair", self._pair(request.model)))
        if pair not in self.pairs:
            raise ConfigError(f"pair: there is no {pair[:80]!r}; configured are {', '.join(sorted(self.pairs))}")
        account.pair, account.streamed, account.samples = pair, request.stream, request.n
        ceiling = self.ceilings.of(account.key, self.settings)
        ceiling.check_samples(request.n, self.jobs.most)
        context = (await cards(self.pairs[pair], self.settings)).context
        if request.pieces > context:  # each is a token at least; to look at many takes long, and all others wait
            raise NoRoom(f"messages: {request.pieces} are more than a context of {context} tokens can hold; send fewer")
        longest_answer = max(self.settings.answer_budget, context // _ANSWERS_SHARE)
        return await asyncio.to_thread(request.settings, self.settings, pair, longest_answer, ceiling)

    async def _messages(self, request: ChatRequest, settings: Settings) -> list[BaseMessage]:
        """The conversation; what its turn has spent of a budget is counted anew, since a client sends no figures."""
        messages = request.chat()
        if settings.turn_reasoning_budget:
            for reply in messages[last_question(messages) :]:
                reasoning = reply.additional_kwargs.get(REASONING, "")
                tokens = (await self.pairs[settings.pair].base.encode(reasoning)).ids if reasoning else []
                reply.response_metadata["specreason"] = {"reasoning_tokens": len(tokens)}
        return messages

    async def _reply(
        self, request: ChatRequest, settings: Settings, index: int, account: Account
    ) -> AsyncIterator[Reply]:
        with self._begun(account, settings):
            messages = await self._messages(request, settings)
            reply = await self.model.ainvoke(messages, **_of_choice(settings, index))
            account.reply(reply)
        yield index, reply

    async def _pieces(
        self, request: ChatRequest, settings: Settings, index: int, account: Account
    ) -> AsyncIterator[Piece]:
        with self._begun(account, settings):
            messages = await self._messages(request, settings)
            async for piece in self.model.astream(messages, **_of_choice(settings, index)):
                account.piece()
                account.reply(piece)
                yield index, piece

    @contextmanager
    def _begun(self, account: Account, settings: Settings) -> Iterator[None]:
        """Note that a sample has its place, and have its steps and faults told; the context is its own task's."""
        account.placed()
        told_steps.set(account.step)
        told_failures.set(account.fault)
        seen = None if self.seen is None else self.seen.begin(account.key or "", settings.pair)
        if seen is not None:
            told_states.set(seen.told)
            told_writing.set(seen.writes)
        answered = False
        try:
            yield
            answered = True
        finally:
            if seen is not None:
                seen.ended(answered=answered)


def _of_choice(settings: Settings, index: int) -> dict[str, Any]:
    """Each choice has a seed of its own."""
    return {**settings.model_dump(exclude_unset=True), "seed": settings.seed + index}


@asynccontextmanager
async def opened(
    configs: Mapping[str, PairConfig],
    *,
    keys: Keys,
    name: str = "specreason",
    settings: Settings | None = None,
    ceilings: Ceilings | None = None,
    policies: Sequence[FittedPolicy] = (),
    at_once: int = 8,
    waiting: int = 64,
    keep_alive: float = 10.0,
    seen: int = 0,
) -> AsyncIterator[Gateway]:
    """A gateway to these pairs; when the block ends, its runs are cancelled and its connections closed.

    Args:
        configs: the pairs by name; one is called `default`.
        keys: what clients must send as a bearer token, one of them.
        name: under which the default pair is served.
        settings: of every run, where its request sets nothing else.
        ceilings: what requests may ask for; none but those of the models where not given.
        policies: fitted policies that runs may name.
        at_once: runs that go on at the same time; each sample of a request is one.
        waiting: more of them that may wait for their turn.
        keep_alive: seconds after which a silent stream says that it is still there.
        seen: how many runs `/runs` shows, those that go on and the last that ended; with 0 it shows nothing.

    Raises:
        ConfigError: `name` is the name of another pair, or the settings can't work with these pairs.
        EndpointError: the default pair's servers can't be asked about their models.
    """
    if name in configs.keys() - {_DEFAULT}:
        raise ConfigError(f"served_name: {name!r} is the name of another pair; take a different one")
    async with AsyncExitStack() as stack:
        pairs = {pair: await stack.enter_async_context(Pair(config)) for pair, config in configs.items()}
        chosen, bounds = settings or Settings(), ceilings or Ceilings()
        bounds.check(chosen)
        await check_settings(pairs, chosen, policies)
        model = ChatSpecReason(pairs=pairs, policies=policies)
        runs = Jobs(at_once, waiting)
        stack.push_async_callback(runs.stop)
        yield Gateway(
            name=name,
            keys=keys,
            settings=chosen,
            ceilings=bounds,
            pairs=pairs,
            model=model,
            jobs=runs,
            metrics=Metrics(runs),
            readiness=Readiness(pairs[_DEFAULT]),
            keep_alive=keep_alive,
            seen=SeenRuns(seen) if seen else None,
        )

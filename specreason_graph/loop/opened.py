"""A node's run: opened from the state within its deadline, and left so that nothing goes on where the node failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import uuid4

from langchain_core.runnables import RunnableConfig
from langgraph.types import Overwrite

from specreason_graph.contract.errors import ConfigError, NoRoom
from specreason_graph.contract.events import Emit
from specreason_graph.contract.settings import Settings
from specreason_graph.contract.state import RunId, SpecReasonState, Step, Update, UsageByRole
from specreason_graph.generation.bill import no_usage
from specreason_graph.generation.live import LiveRun
from specreason_graph.judging.catalog import Catalog
from specreason_graph.loop.bounds import has_room
from specreason_graph.loop.clock import ABORT, Clock
from specreason_graph.loop.cue import cue
from specreason_graph.loop.reply import Answer, reply
from specreason_graph.loop.run import Run
from specreason_graph.loop.tracing import traced
from specreason_graph.models.conversation import chat_messages, question_hash
from specreason_graph.models.pair import Pair
from specreason_graph.models.presets import Preset


class TimeIsUp(Exception):
    """The run's deadline has passed in the middle of a node."""

    def __init__(self, run: RunId, fresh: bool, steps: list[Step], usage: UsageByRole, seconds: float) -> None:
        super().__init__("the run's deadline has passed")
        self._cleared = {"specreason_run": run, "specreason_steps": Overwrite([])} if fresh else {}
        self._steps = [] if fresh else steps
        self._usage, self._seconds = usage, seconds
        self._told: Update = {"specreason_usage": usage, "specreason_seconds": seconds, "specreason_lease": None}

    def ended(self) -> Update:
        """The update of a node that was to reason on: the answer is next."""
        ended = {"specreason_pending": None, "specreason_ended": "deadline", "specreason_done": False}
        return {**self._cleared, **self._told, **ended}

    def unanswered(self) -> Update:
        """The update of the last node: a reply without an answer, and all that was reasoned so far."""
        reasoning = "".join(step["text"] for step in self._steps).strip()
        message = reply(self._steps, self._usage, self._seconds, {}, "deadline", reasoning, Answer("", 0, "length"))
        return {**self._told, "messages": [message], "specreason_answer": None, "specreason_done": True}


@asynccontextmanager
async def opened(
    state: SpecReasonState,
    settings: Settings,
    pairs: Mapping[str, Pair],
    catalog: Catalog,
    emit: Emit,
    config: RunnableConfig,
) -> AsyncIterator[Run]:
    """Around a node. Whether its run is fresh, who it is and when it began is decided here, before anything is awaited.

    Raises:
        ConfigError: a setting that can't work, a question that does not fit, or a resume on other prompts.
        EndpointError: a server failed.
        TimeIsUp: the deadline passed, here or in the node.
    """
    if settings.pair not in pairs:
        raise ConfigError(f"pair: there is no {settings.pair!r}; configured are {', '.join(sorted(pairs))}")
    identity, fresh = _identity(state)
    clock = Clock.started(0.0 if fresh else state.get("specreason_seconds", 0.0), settings)
    pair, lease = pairs[settings.pair].pinned(identity["id"]), state.get("specreason_lease")
    live = (None if fresh else pair.live.claim(lease)) or pair.live.begin()
    left = clock.left()
    try:
        async with asyncio.timeout(None if left is None else left + ABORT):
            async with asyncio.timeout(clock.left_to_reason() if state.get("specreason_ended") is None else left):
                run = await _open(state, settings, pair, catalog, identity, clock, live, emit, config, fresh=fresh)
            yield run
    except TimeoutError:
        await live.overlap.drop()
        usage = live.overlap.bill.on_top_of(no_usage() if fresh else state["specreason_usage"])
        steps = list(state.get("specreason_steps", ()))
        raise TimeIsUp(identity, fresh, steps, usage, clock.seconds()) from None
    except BaseException:
        await live.overlap.drop()
        if lease is not None and not fresh:  # what it cost is told by whoever goes on from here
            pair.live.park(live, lease)
        raise


async def preset_of(pair: Pair, settings: Settings, catalog: Catalog) -> Preset:
    """The preset that a run names, else the pair's own, else the one that fits the models' names.

    Raises:
        ConfigError: there is no such preset, or none fits.
    """
    cards = await pair.cards()
    return catalog.preset(settings.preset or pair.preset, cards["base"].name, cards["draft"].name)


def _identity(state: SpecReasonState) -> tuple[RunId, bool]:
    """Which run this is, and whether the state holds nothing of it yet.

    A conversation that has grown or changed is another question, also in the middle of a run: an answer must never
    stand behind another question's reasoning.
    """
    before, question = state.get("specreason_run"), question_hash(state["messages"])
    if before is None or before["question"] != question or state.get("specreason_done"):
        return RunId(id=uuid4().hex, question=question, openings={}), True
    return before, False


async def _open(
    state: SpecReasonState,
    settings: Settings,
    pair: Pair,
    catalog: Catalog,
    identity: RunId,
    clock: Clock,
    live: LiveRun,
    emit: Emit,
    config: RunnableConfig,
    *,
    fresh: bool,
) -> Run:
    cards = await pair.cards()
    base, draft = cards["base"].name, cards["draft"].name
    preset = catalog.preset(settings.preset or pair.preset, base, draft)
    judge, policy = catalog.judging(settings, preset, base, draft)
    if live.rendered_for != (rendered_for := (preset.prompt, preset.open, *preset.template.items(), *cards.items())):
        chat = chat_messages(state["messages"], preset)
        found = await asyncio.gather(pair.opening("base", chat, preset), pair.opening("draft", chat, preset))
        live.openings, live.rendered_for = {"base": found[0], "draft": found[1]}, rendered_for
    openings: dict[str, str] = {role: opening.hash for role, opening in live.openings.items()}
    if not fresh and identity["openings"] not in ({}, openings):
        raise ConfigError("this run began on other prompts: resume it with the models, templates and preset it had")
    run = Run(
        settings=settings,
        preset=preset,
        judge=judge,
        policy=policy,
        pair=traced(pair, config),
        live=live,
        same_tokenizer=await pair.same_tokenizer(),
        contexts={role: card.context for role, card in cards.items()},
        closings=await pair.closings("base", preset),
        request=await pair.judge_request(judge, preset) if judge.labels else None,
        cue=await cue(pair, live, settings, preset),
        steps=[] if fresh else list(state.get("specreason_steps", ())),
        identity=RunId(id=identity["id"], question=identity["question"], openings=openings),
        fresh=fresh,
        clock=clock,
        used_before=no_usage() if fresh else state["specreason_usage"],
        emit=emit,
    )
    if not run.steps and not has_room(run):
        asked, schema = len(live.openings["base"].ids), " (answer_schema)" if settings.answer_schema else ""
        raise NoRoom(
            f"answer_budget: {settings.answer_budget} tokens of answer, {len(run.cue)} that ask for it{schema} and a "
            f"question of {asked} leave no room to reason in contexts of {run.contexts['base']} (base) and "
            f"{run.contexts['draft']} (draft) tokens; lower answer_budget, shorten the conversation or the schema, or "
            "serve the models with a longer context"
        )
    return run

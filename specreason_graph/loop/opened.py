"""A node's run: opened from the state within its deadline, and left so that nothing goes on where the node failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from langchain_core.runnables import RunnableConfig
from langgraph.types import Overwrite

from specreason_graph.contract.errors import ConfigError, NoRoom
from specreason_graph.contract.events import Emit
from specreason_graph.contract.settings import ROLES, Role, Settings
from specreason_graph.contract.state import Edit, Gate, RunId, SpecReasonState, Update, UsageByRole
from specreason_graph.generation.live import LiveRun
from specreason_graph.judging.catalog import Catalog
from specreason_graph.judging.policy import as_json
from specreason_graph.loop.bounds import has_room
from specreason_graph.loop.clock import ABORT
from specreason_graph.loop.cue import cue
from specreason_graph.loop.kept_images import shown
from specreason_graph.loop.messages import Telling, reply_id
from specreason_graph.loop.reached import cards, read_by_both, render
from specreason_graph.loop.reply import Answer, answers_in_last_step, reply
from specreason_graph.loop.run import Run
from specreason_graph.loop.so_far import SoFar, cleared, undecided
from specreason_graph.loop.tracing import heard, traced
from specreason_graph.models.pair import Pair
from specreason_graph.models.presets import Preset
from specreason_graph.models.turns import spent


class TimeIsUp(Exception):
    """The run's deadline has passed in the middle of a node."""

    def __init__(self, so_far: SoFar, edit: Edit | None, usage: UsageByRole, park: Callable[[], str]) -> None:
        super().__init__("the run's deadline has passed")
        self._so_far = so_far
        self._usage = usage
        self._park = park
        steps = {} if edit is None else {"specreason_steps": Overwrite(so_far.steps[: edit["index"]])}
        self._told: Update = {
            **(cleared(so_far.identity) if so_far.fresh else {**steps, "specreason_edit": None}),
            "specreason_pending": None,
            "specreason_ended": "deadline",
            "specreason_usage": usage,
            "specreason_seconds": so_far.clock.seconds(),
            "specreason_lease": None,
        }

    def ended(self) -> Update:
        """The update of a node that was to reason on: the answer is next. Where a change came too late, steps end."""
        return {**self._told, "specreason_lease": self._park()}

    def unanswered(self) -> Update:
        """The update of the last node: a reply without an answer, and all that was reasoned so far."""
        steps, seconds = self._so_far.steps, self._told["specreason_seconds"]
        reasoning = "".join(step["text"] for step in steps).strip()
        message = reply(steps, self._usage, seconds, {}, "deadline", reasoning, Answer("", 0, "length"))
        message.id = reply_id(self._so_far.identity)
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
    so_far = SoFar.of(state, settings)
    pair, lease = pairs[settings.pair].pinned(so_far.identity["id"]), state.get("specreason_lease")
    live = (None if so_far.fresh else pair.live.claim(lease)) or pair.live.begin()
    so_far = so_far.later(live.between_nodes())
    live.overlap.zero = so_far.clock.zero
    left = so_far.clock.left_to_reason() if so_far.reasons else so_far.clock.left()
    limit, entry = asyncio.timeout(None if left is None else left + ABORT), asyncio.timeout(left)
    try:
        async with limit:
            async with entry:
                run = await _open(state, settings, pair, catalog, so_far, live, emit, config)
            try:
                with pair.live.load.run():
                    yield run
            finally:
                await run.emit.told()
                await heard(run.pair)
    except BaseException as error:
        await live.overlap.drop()
        if isinstance(error, TimeoutError) and (limit.expired() or entry.expired()):
            bill = live.overlap.bill
            if not so_far.fresh:
                bill.discarded("draft", undecided(state.get("specreason_pending")))
            usage = bill.on_top_of(so_far.used)
            bill.clear()
            raise TimeIsUp(so_far, state.get("specreason_edit"), usage, lambda: pair.live.park(live)) from None
        if lease is not None and not so_far.fresh:  # what it cost is told by whoever goes on from here
            pair.live.park(live, lease)
        raise


async def preset_of(pair: Pair, settings: Settings, catalog: Catalog) -> Preset:
    """The preset that a run names, else the pair's own, else the one that fits the models' names.

    Raises:
        ConfigError: there is no such preset, or none fits.
        EndpointError: a server failed that these settings can't go on without.
    """
    found = await cards(pair, settings)
    return catalog.preset(settings.preset or pair.preset, found.base.name, found.draft.name)


async def _open(
    state: SpecReasonState,
    settings: Settings,
    pair: Pair,
    catalog: Catalog,
    so_far: SoFar,
    live: LiveRun,
    emit: Emit,
    config: RunnableConfig,
) -> Run:
    found = await cards(pair, settings)
    preset = catalog.preset(settings.preset or pair.preset, found.base.name, found.draft.name)
    judge, policy = catalog.judging(settings, preset, found.base.name, found.draft.name)
    messages = shown(state)["messages"]
    asked = traced(pair, config)
    alone = await render(asked, messages, preset, settings, live, found)
    read = None if alone else await read_by_both(pair, live, so_far.steps, preset, settings)
    if alone := read is None:  # nobody else can
        settings = settings.overridden(by={"answer_by": "base"})
    same_tokenizer, steps = read or (True, so_far.steps)
    told = ("base",) if alone else ROLES
    openings: dict[str, str] = {role: live.openings[role].hash for role in told}
    before = so_far.identity["openings"]
    if any(before[role] != openings[role] for role in before.keys() & openings.keys()):
        live.rendered_for = None
        live.fetched.clear()  # an image by address may be the right one next time
        raise ConfigError(
            "this run began on other prompts: resume it with the models, templates, tools and preset it had"
        )
    models: dict[Role, str] = {"base": found.base.name, "draft": found.draft.name}
    identity: RunId = {**so_far.identity, "openings": {**before, **openings}}
    if so_far.fresh:  # what is written once, at the beginning
        identity |= {"models": dict(models.items()), "judge": judge.model_dump(mode="json"), "policy": as_json(policy)}
    run = Run(
        settings=settings,
        preset=preset,
        judge=judge,
        policy=policy,
        pair=asked,
        live=live,
        same_tokenizer=same_tokenizer,
        alone=alone,
        models=models,
        contexts={"base": found.base.context, "draft": found.base.context if alone else found.draft.context},
        closings=await pair.closings("base", preset),
        closers=await pair.closers("base", preset, settings.callable_tools, boxed=settings.boxed),
        opens_call=await pair.openings("base", preset, settings.callable_tools),
        reasoned_before=spent(messages),
        request=await pair.judge_request(judge, preset) if judge.labels else None,
        cue=(await cue(pair, live, settings, preset))[0],
        steps=steps,
        gate=state.get("specreason_gate", Gate(level="both", why="unknown")),
        identity=identity,
        fresh=so_far.fresh,
        clock=so_far.clock,
        used_before=so_far.used,
        emit=Telling(emit, config, messages, so_far, answers_in_last_step(preset, settings), live),
    )
    if not run.steps and not has_room(run):
        question, schema = live.openings["base"].tokens, " (answer_schema)" if settings.answer_schema else ""
        raise NoRoom(
            f"answer_budget: {settings.answer_budget} tokens of answer, {len(run.cue)} that ask for it{schema} and a "
            f"question of {question} leave no room to reason in contexts of {run.contexts['base']} (base) and "
            f"{run.contexts['draft']} (draft) tokens; lower answer_budget, shorten the conversation or the schema, or "
            "serve the models with a longer context"
        )
    return run

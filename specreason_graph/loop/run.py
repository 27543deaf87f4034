"""One run as a node sees it: settings resolved, ledgers rebuilt, room left. Made anew for every node."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from specreason_graph.contract.errors import ConfigError, NoRoom
from specreason_graph.contract.events import Emit
from specreason_graph.contract.settings import Role, Settings
from specreason_graph.contract.state import Node, RunId, SpecReasonState, Step, Update, UsageByRole
from specreason_graph.endpoint.ids import Ids
from specreason_graph.endpoint.protocol import Sampling
from specreason_graph.generation.collect import Bounds
from specreason_graph.generation.leases import Streams
from specreason_graph.generation.usage import no_usage
from specreason_graph.judging.catalog import Catalog
from specreason_graph.judging.policy import Policy
from specreason_graph.models.conversation import chat_messages, digest, question_hash
from specreason_graph.models.pair import Closings, JudgeRequest, Opening, Pair
from specreason_graph.models.presets import Judge, Preset

LEAST_STEP = 8  # tokens; less room than that is no room for a step
MARGIN = 16  # tokens for the markup around the answer


@dataclass(slots=True)
class Run:
    """Everything a node may need; nothing in it outlives the node."""

    settings: Settings
    preset: Preset
    judge: Judge
    policy: Policy
    pair: Pair
    same_tokenizer: bool
    openings: dict[Role, Opening]
    contexts: dict[Role, int]
    closings: Closings
    request: JudgeRequest | None
    steps: list[Step]
    identity: RunId
    fresh: bool
    """True when the state holds nothing of this question yet."""
    emit: Emit
    spent: float
    """Active seconds before this node."""
    usage: UsageByRole
    """Of the whole run so far; what a node costs is added as it happens."""
    streams: Streams
    """What the models are writing, and no step of the ledger holds yet."""
    began: float = field(default_factory=time.perf_counter)
    _ledgers: dict[Role, tuple[int, Ids]] = field(default_factory=dict)

    def ledger(self, role: Role) -> Ids:
        """Ids behind which `role` goes on."""
        opening = self.openings[role]
        if self.same_tokenizer and opening.hash == self.openings["base"].hash:
            role = "base"
        known = self._ledgers.get(role)
        if known is None or known[0] != len(self.steps):
            ids = self.pair.ledgers.of(opening.hash, opening.ids, self.steps, role)
            known = self._ledgers[role] = (len(self.steps), ids)
        return known[1]

    def runs_on(self, role: Role) -> bool:
        """Whether this model goes on behind its step: the draft looks ahead, base hedges."""
        if role == "draft":
            chosen, possible = self.settings.look_ahead, self.pair.draft.runs_on
        else:
            chosen, possible = self.settings.hedge, self.pair.base.runs_on
            if self.pair.leases.hedging() >= self.settings.hedges:
                return False
        return possible if chosen is None else chosen

    def told(self, update: Update) -> Update:
        """A node's update with what every node says: what was used, and where what goes on is to be found."""
        return {
            **update,
            "specreason_usage": self.usage,
            "specreason_seconds": self.seconds(),
            "specreason_lease": self.pair.leases.park(self.streams),
        }

    def seconds(self) -> float:
        """Active seconds of the run, this node's included."""
        return self.spent + time.perf_counter() - self.began

    def sampling(self, node: Node) -> Sampling:
        """Temperature and top_p, with a seed of this node and step: one seed would repeat one noise every step."""
        seed = int(digest([self.settings.seed, len(self.steps), node])[:7], 16)
        return self.preset.sampling(self.settings, seed)

    def reasoning_tokens(self) -> int:
        """Kept tokens of reasoning, in base's tokens."""
        return len(self.ledger("base")) - len(self.openings["base"].ids)

    def room(self, role: Role) -> int:
        """Tokens that a further step may have in this model's context, with the answer and the judge still to come."""
        answer = self.settings.answer_budget if role == self.settings.answer_by else 0
        behind = max(answer, len(self.request.suffix) if self.request and role == "base" else 0)
        return self.contexts[role] - len(self.ledger(role)) - behind - MARGIN

    def has_room(self) -> bool:
        """Whether both models' contexts can take one more step."""
        return min(self.room("base"), self.room("draft")) >= LEAST_STEP

    def step_bounds(self) -> Bounds:
        """Tokens and seconds that the next step may take."""
        left = self.settings.reasoning_budget - self.reasoning_tokens()
        return Bounds(min(self.settings.step_tokens, left, self.room("base"), self.room("draft")), self.seconds_left())

    def seconds_left(self) -> float | None:
        """Seconds left for reasoning, the answer's reserve kept; None without a deadline."""
        if self.settings.deadline is None:
            return None
        return self.settings.deadline - self.settings.answer_reserve - self.seconds()


async def preset_of(pair: Pair, settings: Settings, catalog: Catalog) -> Preset:
    """The preset that a run names, else the pair's own, else the one that fits the models' names.

    Raises:
        ConfigError: there is no such preset, or none fits.
    """
    cards = await pair.cards()
    return catalog.preset(settings.preset or pair.preset, cards["base"].name, cards["draft"].name)


async def open_run(
    state: SpecReasonState, settings: Settings, pairs: Mapping[str, Pair], catalog: Catalog, emit: Emit
) -> Run:
    """Resolve a run from the state and its settings.

    Raises:
        ConfigError: a setting that can't work, a question that does not fit, or a resume on other prompts.
        EndpointError: a server failed while being asked about its model.
    """
    if settings.pair not in pairs:
        raise ConfigError(f"pair: there is no {settings.pair!r}; configured are {', '.join(sorted(pairs))}")
    question = question_hash(state["messages"])
    pair = await pairs[settings.pair].pinned(question)  # a run that is resumed finds its prefix cache again
    cards = await pair.cards()
    preset = await preset_of(pair, settings, catalog)
    judge, policy = catalog.judging(settings, preset, cards["base"].name, cards["draft"].name)
    chat = chat_messages(state["messages"], preset)
    openings: dict[Role, Opening] = {
        "base": await pair.opening("base", chat, preset),
        "draft": await pair.opening("draft", chat, preset),
    }
    identity = RunId(
        question=question,
        openings={role: opening.hash for role, opening in openings.items()},
    )
    before = state.get("specreason_run")
    fresh = before is None or before["question"] != identity["question"] or bool(state.get("specreason_done"))
    run = Run(
        settings=settings,
        preset=preset,
        judge=judge,
        policy=policy,
        pair=pair,
        same_tokenizer=await pair.same_tokenizer(),
        openings=openings,
        contexts={role: card.context for role, card in cards.items()},
        closings=await pair.closings("base", preset),
        request=await pair.judge_request(judge, preset) if judge.labels else None,
        steps=[] if fresh else list(state.get("specreason_steps", ())),
        identity=identity,
        fresh=fresh,
        emit=emit,
        spent=0.0 if fresh else state.get("specreason_seconds", 0.0),
        usage=no_usage() if fresh else state["specreason_usage"],
        streams={},
    )
    if not fresh and before is not None and before["openings"] != identity["openings"]:
        raise ConfigError("this run began on other prompts: resume it with the models, templates and preset it had")
    if not run.steps and not run.has_room():
        asked = len(openings["base"].ids)
        raise NoRoom(
            f"answer_budget: {settings.answer_budget} tokens of answer and a question of {asked} leave no room "
            f"to reason in contexts of {run.contexts['base']} (base) and {run.contexts['draft']} (draft) tokens; lower "
            "answer_budget, shorten the conversation, or serve the models with a longer context"
        )
    run.streams = pair.leases.claim(state.get("specreason_lease"))  # last: nothing can fail behind it
    return run

"""One run as a node sees it: settings resolved, ledgers rebuilt. Made anew for every node, and never changed by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from specreason_graph.contract.settings import Role, Settings
from specreason_graph.contract.state import Ended, Gate, Node, RunId, Step, Update, UsageByRole
from specreason_graph.endpoint.ids import Ids
from specreason_graph.endpoint.protocol import Sampling
from specreason_graph.generation.bill import Bill
from specreason_graph.generation.ledger import Opening
from specreason_graph.generation.live import LiveRun
from specreason_graph.generation.overlap import Overlap
from specreason_graph.generation.passage import Closer
from specreason_graph.judging.evidence import Inquiry
from specreason_graph.judging.policy import Policy
from specreason_graph.loop.clock import Clock
from specreason_graph.loop.messages import Telling
from specreason_graph.models.conversation import digest
from specreason_graph.models.judge_request import JudgeRequest
from specreason_graph.models.pair import Closings, Pair
from specreason_graph.models.presets import Judge, Preset


@dataclass(frozen=True, slots=True)
class Run:
    """Everything a node may need. What the models are writing, and what that costs, is with its `overlap`."""

    settings: Settings
    preset: Preset
    judge: Judge
    policy: Policy
    pair: Pair
    live: LiveRun
    same_tokenizer: bool
    alone: bool
    """Whether the draft's server failed, and base goes on without."""
    models: dict[Role, str]
    """Their names."""
    contexts: dict[Role, int]
    closings: Closings
    """Of base."""
    closers: Sequence[Closer]
    """Of base, too."""
    opens_call: Sequence[Closer]
    """Those of them that open a call; none where none may be made."""
    request: JudgeRequest | None
    cue: list[int]
    """What has the answer begin, a schema included, in the tokens of who writes it."""
    steps: list[Step]
    gate: Gate
    """Of the next step."""
    identity: RunId
    fresh: bool
    """True when the state holds nothing of this question yet."""
    clock: Clock
    reasoned_before: int
    """Tokens of reasoning that earlier runs on the user's message have kept."""
    used_before: UsageByRole
    """What was used, as far as the state has it."""
    emit: Telling
    _ledgers: dict[Role, Ids] = field(default_factory=dict, init=False)

    def behind(self, steps: list[Step]) -> Run:
        """The same run with other kept steps."""
        return replace(self, steps=steps)

    @property
    def overlap(self) -> Overlap:
        """Both models' streams."""
        return self.live.overlap

    @property
    def bill(self) -> Bill:
        """What the run has used and its state does not tell yet."""
        return self.live.overlap.bill

    @property
    def openings(self) -> dict[Role, Opening]:
        """The rendered question, by model."""
        return self.live.openings

    def ledger(self, role: Role) -> Ids:
        """Ids behind which `role` goes on."""
        ids = self._ledgers.get(role)
        if ids is None:
            base, draft = self.openings["base"], self.openings["draft"]
            shared = self.same_tokenizer and (draft.hash, draft.tokens) == (base.hash, base.tokens)
            if role == "draft" and shared:
                ids = self.ledger("base")
            else:
                ids = self.live.ledgers.of(self.openings[role].ids, self.steps, role)
            self._ledgers[role] = ids
        return ids

    def reasoning_tokens(self) -> int:
        """Kept tokens of reasoning, in base's tokens."""
        return len(self.ledger("base")) - len(self.openings["base"].ids)

    @property
    def reasoning_budget(self) -> int:
        """Tokens of kept reasoning that this run may have, in base's tokens."""
        budget, turn = self.settings.reasoning_budget, self.settings.turn_reasoning_budget
        return budget if turn is None else min(budget, max(0, turn - self.reasoned_before))

    def closed(self, ended_with: str | None) -> Ended:
        """Why the reasoning ends with a step that closed it in this way."""
        return "call" if any(closer.text == ended_with for closer in self.opens_call) else "finished"

    def sampling(self, node: Node, request: int = 0) -> Sampling:
        """Temperature and top_p, with a seed of this node, step and request: one would repeat one noise every time."""
        seed = int(digest([self.settings.seed, len(self.steps), node, *([request] if request else [])])[:7], 16)
        return self.preset.sampling(self.settings, seed)

    def inquiry(self) -> Inquiry:
        """What base is asked about the next step."""
        marker = self.closings.marker
        ends: dict[str | None, int] = {
            None: marker.id if marker else self.closings.end_of_turn,
            **{closer.text: closer.id for closer in self.closers},
        }
        return Inquiry(self.pair.base, self.ledger("base"), len(self.steps), self.judge, self.request, ends)

    def usage(self) -> UsageByRole:
        """Of the whole run so far."""
        return self.bill.on_top_of(self.used_before)

    def parked(self, update: Update) -> Update:
        """A node's update with what every node says: what was used, and under which lease the next one goes on."""
        for message in update.get("messages", ()):
            self.emit.reply(message)
        said = {
            **update,
            "specreason_usage": self.usage(),
            "specreason_seconds": self.clock.seconds(),
            "specreason_lease": None if update.get("specreason_done") else self.pair.live.park(self.live),
        }
        self.bill.clear()
        return said

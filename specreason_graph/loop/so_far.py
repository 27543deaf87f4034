"""What a state says of its run before anything is awaited: which one it is, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import uuid4

from langgraph.types import Overwrite

from specreason_graph.contract.settings import Settings
from specreason_graph.contract.state import Pending, RunId, SpecReasonState, Step, Update, UsageByRole
from specreason_graph.generation.bill import no_usage
from specreason_graph.loop.clock import Clock
from specreason_graph.models.conversation import question_hash


@dataclass(frozen=True, slots=True)
class SoFar:
    """A run up to a node."""

    identity: RunId
    fresh: bool
    """Whether the state holds nothing of it yet."""
    steps: list[Step]
    used: UsageByRole
    clock: Clock
    reasons: bool
    """Whether its reasoning goes on."""

    @classmethod
    def of(cls, state: SpecReasonState, settings: Settings) -> SoFar:
        """Decided once a node; its clock runs from now on.

        A conversation that has grown or changed is another question, also in the middle of a run: an answer must
        never stand behind another question's reasoning.
        """
        before, question = state.get("specreason_run"), question_hash(state["messages"])
        if before is None or before["question"] != question or state.get("specreason_done"):
            identity = RunId(id=uuid4().hex, question=question, openings={})
            return cls(identity, True, [], no_usage(), Clock.started(0.0, settings), True)
        return cls(
            before,
            False,
            list(state.get("specreason_steps", ())),
            state["specreason_usage"],
            Clock.started(state.get("specreason_seconds", 0.0), settings),
            state.get("specreason_ended") is None,
        )

    def later(self, seconds: float) -> SoFar:
        """The same, where some more of the run's time has passed before this node."""
        return replace(self, clock=replace(self.clock, spent=self.clock.spent + seconds))


def undecided(pending: Pending | None) -> int:
    """Tokens of a drafted step that nobody has accepted or rejected; a rejected one's are discarded already."""
    return len(pending["drafted"]["ids"]) if pending is not None and pending["status"] != "rejected" else 0


def cleared(identity: RunId) -> Update:
    """What makes a state this run's own: nothing is left of an earlier question on its thread."""
    return {
        "specreason_run": identity,
        "specreason_steps": Overwrite([]),
        "specreason_pending": None,
        "specreason_ended": None,
        "specreason_answer": None,
        "specreason_done": False,
        "specreason_edit": None,
    }

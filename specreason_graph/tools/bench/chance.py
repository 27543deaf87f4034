"""Accepting at random: what a judge has to beat at the same rate, and often does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.evidence import Evidence
from specreason_graph.contract.state import Step
from specreason_graph.judging.scoring import Decision
from specreason_graph.models.conversation import digest
from specreason_graph.models.presets import Judge

_ASKS_LITTLE = Judge(
    name="random", source="Control: its evidence is not looked at", kind="likelihood", spots=1, threshold=0.0
)


@dataclass(frozen=True, slots=True)
class RandomAcceptance:
    """The policy `random`: its threshold is the share of steps that it accepts, whatever is in them."""

    threshold: float = 0.5
    name: str = "random"
    judge: Judge = _ASKS_LITTLE

    def at(self, threshold: float | None) -> RandomAcceptance:
        """This policy with another share.

        Raises:
            ConfigError: it is no share.
        """
        if threshold is not None and not 0 <= threshold <= 1:
            raise ConfigError(f"threshold: {threshold:g} is outside 0..1, the shares that `random` can accept")
        return self if threshold is None else replace(self, threshold=threshold)

    def check_fits(self, base_model: str, draft_model: str, preset: str) -> None:
        """It fits every pair."""

    def decide(self, evidence: Evidence, before: Sequence[Step] = ()) -> Decision:
        """See `Policy`; the same step is always decided alike, so that a run can be repeated."""
        drawn = int(digest([evidence["place"], evidence["draft_logprobs"]])[:8], 16) / 16**8
        return (True, drawn, None) if drawn < self.threshold else (False, drawn, "probability")

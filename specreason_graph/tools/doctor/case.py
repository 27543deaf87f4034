"""The pair that is examined, and what earlier checks found out for later ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from langchain_core.messages import HumanMessage

from specreason_graph.contract.config import EndpointConfig, PairConfig
from specreason_graph.contract.settings import Role, Settings
from specreason_graph.judging.catalog import Catalog
from specreason_graph.loop.opened import preset_of
from specreason_graph.models.pair import Pair
from specreason_graph.models.presets import Preset
from specreason_graph.tools.decoding import Counts
from specreason_graph.tools.forecast import Speculation
from specreason_graph.tools.predict import Mode


@dataclass(slots=True)
class Case:
    """A pair, and the run that is tried on it."""

    config: PairConfig
    pair: Pair
    settings: Settings
    catalog: Catalog
    question: str
    prompts: dict[Role, list[int]] = field(default_factory=dict)
    latency: dict[Role, float] = field(default_factory=dict)
    """Seconds that a call of one token takes with its prompt in the prefix cache."""
    rates: dict[Role, float] = field(default_factory=dict)
    """Tokens that one stream decodes a second."""
    written: list[int] = field(default_factory=list)
    """Ids that base wrote when its rate was measured."""
    base_pass: float | None = None
    """Seconds of a pass of base then."""
    counts: Counts | None = None
    """What base's server had counted of its speculative decoding then."""
    speculation: Speculation | str = "it was not looked at"
    """How base decodes speculatively or would, or why that is not to be had."""

    @property
    def messages(self) -> list[HumanMessage]:
        """The conversation."""
        return [HumanMessage(self.question)]

    def endpoint(self, role: Role) -> EndpointConfig:
        """Where a role's server is."""
        return self.config.base if role == "base" else self.config.draft

    @property
    def overlap(self) -> Mode:
        """What a run on this pair does at the same time."""
        look_ahead, hedge = self.settings.look_ahead, self.settings.hedge
        ahead = self.pair.draft.overlaps if look_ahead is None else look_ahead
        hedged = self.pair.base.overlaps if hedge is None else hedge
        return "both" if ahead and hedged else "look_ahead" if ahead else "hedge" if hedged else "sequential"

    @property
    def named(self) -> str | None:
        """The preset, if it was named and so needs no model's name."""
        return self.settings.preset or self.config.preset

    async def preset(self) -> Preset:
        """The run's preset.

        Raises:
            ConfigError: there is no such preset, or none fits.
            EndpointError: it goes by the models' names, and a server does not tell.
        """
        if self.named is not None:
            return self.catalog.preset(self.named, "", "")
        return await preset_of(self.pair, self.settings, self.catalog)

    async def prompt(self, role: Role) -> list[int]:
        """Ids to go on from: the rendered question, or its bare text where that can't be had."""
        if role not in self.prompts:
            self.prompts[role] = (await self.pair.endpoint(role).encode(self.question)).ids
        return self.prompts[role]

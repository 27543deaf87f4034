"""Settings that can't work with a pair, found before a gateway says that it serves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from specreason_graph.contract.errors import ConfigError, EndpointError
from specreason_graph.contract.settings import Settings
from specreason_graph.judging.catalog import Catalog, builtin
from specreason_graph.judging.policy import FittedPolicy
from specreason_graph.loop.opened import preset_of
from specreason_graph.loop.reached import cards
from specreason_graph.models.pair import Pair


async def check_settings(pairs: Mapping[str, Pair], settings: Settings, policies: Sequence[FittedPolicy]) -> None:
    """Prepare what a run on each pair needs, and run nothing.

    A pair whose servers can't be asked is passed over, unless it is the one called `default`.

    Raises:
        ConfigError: no run could begin with these settings; the message names the setting, and the pair.
        EndpointError: the default pair's servers can't be asked about their models, and runs can't go on without.
    """
    catalog = builtin().extended([], [], policies)
    for name, pair in pairs.items():
        try:
            await _check(pair, settings, catalog)
        except ConfigError as error:
            raise error if name == "default" else ConfigError(f"{error} (pair {name!r})") from None
        except EndpointError:
            if name == "default":
                raise


async def _check(pair: Pair, settings: Settings, catalog: Catalog) -> None:
    found = await cards(pair, settings)
    preset = await preset_of(pair, settings, catalog)
    judge, _ = catalog.judging(settings, preset, found.base.name, found.draft.name)
    if settings.answer_budget >= found.context:
        raise ConfigError(
            f"answer_budget: {settings.answer_budget} tokens of answer leave nothing of a context of {found.context}; "
            "lower it, or serve the models with a longer context"
        )
    await pair.closings("base", preset)
    if not found.alone:
        await asyncio.gather(pair.closings("draft", preset), pair.same_tokenizer())
    if judge.labels:
        await pair.judge_request(judge, preset)

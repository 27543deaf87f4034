"""What a gateway looks at before it serves."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from specreason_graph import ConfigError, EndpointConfig, PairConfig, Settings
from specreason_graph.testing import scripted_pair
from specreason_graph.use.gateway import Keys, opened

from .served import BASE, DRAFT, KEY, served


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"preset": "nope"}, "preset: there is no 'nope'"),
        ({"judge": "nope"}, "judge: there is no 'nope'"),
        ({"policy": "nope"}, "policy: there is no 'nope'"),
        ({"judge": "likelihood", "threshold": 5}, "threshold: 5 is outside"),
        ({"answer_budget": 10**6}, "answer_budget: 1000000 tokens"),
    ],
)
async def test_settings_that_can_not_work_fail_the_start(settings: dict[str, Any], says: str) -> None:
    """Guards clients, who got the blame for each of these with a 400."""
    with pytest.raises(ConfigError, match=says):
        async with served(settings=Settings(**settings)):
            pass


async def test_a_second_pair_that_can_not_work_is_named_and_one_that_is_down_is_passed_over() -> None:
    nobody = EndpointConfig(base_url="http://127.0.0.1:9")
    async with scripted_pair(BASE, DRAFT, template="think") as servers:
        keys = Keys({"tester": SecretStr(KEY)})
        configs = {"default": servers.config, "other": servers.config.model_copy(update={"preset": "nope"})}
        with pytest.raises(ConfigError, match=r"preset: .*'nope'.* \(pair 'other'\)$"):
            async with opened(configs, keys=keys):
                pass
        async with opened({"default": servers.config, "down": PairConfig(base=nobody, draft=nobody)}, keys=keys) as it:
            assert [card["id"] for card in await it.cards()] == ["specreason"]

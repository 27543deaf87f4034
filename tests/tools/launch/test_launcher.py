"""Both servers are there for as long as the block runs, and never longer."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from specreason_graph import Pair
from specreason_graph.contract.errors import ConfigError, EndpointError
from specreason_graph.tools.launch import LaunchPlan, Progress, prepared, running, serving

from .processes import Processes


async def test_the_block_has_two_servers_that_answer_and_nothing_is_left_behind_it(processes: Processes) -> None:
    seen: list[Progress] = []
    async with running(LaunchPlan(**processes.plan(base_args=["--act=stubborn"])), seen.append) as config:
        assert config.base.api_key is not None
        key = config.base.api_key.get_secret_value()
        assert not any(key in line for line in processes.alive().values())
        async with Pair(config) as pair:
            names = {role: card.name for role, card in (await pair.cards()).items()}
    assert processes.alive() == {}
    assert names == {"base": "Qwen/Qwen3-8B", "draft": "Qwen/Qwen3-0.6B"}
    phases = list(dict.fromkeys((progress.role, progress.phase) for progress in seen))
    assert phases.index(("base", "up")) < phases.index(("draft", "loading the weights"))
    assert phases[-1] == ("draft", "up")


async def test_base_is_restarted_while_the_draft_stays(processes: Processes) -> None:
    """As for another way of decoding: the plan's ports and key stay the same."""
    plan = prepared(LaunchPlan(**processes.plan()))
    async with serving(plan, ["draft"]):
        draft = processes.alive("0.6B")
        assert processes.alive("8B") == {}
        for decode in (None, "ngram"):
            async with serving(plan.model_copy(update={"decode": decode}), ["base"]) as config, Pair(config) as pair:
                assert {card.name for card in (await pair.cards()).values()} == {"Qwen/Qwen3-8B", "Qwen/Qwen3-0.6B"}
        assert processes.alive("8B") == {}
        assert processes.alive("0.6B") == draft
    assert processes.alive() == {}


async def test_a_server_that_ends_ends_the_block_and_the_other_server(processes: Processes) -> None:
    async def serve() -> None:
        async with running(LaunchPlan(**processes.plan())):
            [server] = [pid for pid, line in processes.alive("0.6B").items() if "guard.py" not in line]
            os.kill(server, signal.SIGKILL)
            await asyncio.sleep(20)

    with pytest.raises(EndpointError, match=r"draft server ended while running \(ended by SIGKILL"):
        await serve()
    assert processes.alive() == {}


async def test_a_server_whose_guard_is_killed_is_not_left_alone(
    processes: Processes, until: Callable[..., None]
) -> None:
    def kill_the_guard() -> None:
        # a server that is just being spawned has its guard's command line: wait for one of its own
        until(lambda: any("guard.py" not in line for line in processes.alive("api_server").values()))
        [guard] = processes.alive("guard.py")
        os.kill(guard, signal.SIGKILL)

    killing = asyncio.create_task(asyncio.to_thread(kill_the_guard))
    with pytest.raises(EndpointError, match=r"base server ended while loading \(its guard was ended by SIGKILL\)"):
        async with running(LaunchPlan(**processes.plan(base_args=["--act=hangs"]))):
            pytest.fail("the block was entered")
    await killing
    until(lambda: not processes.alive())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"base_args": ["--act=stubborn", "--act=dies"]},
            r"loading \(exit status 1\); from .*\.log:\n(.*\n)*ValueError",
        ),
        (
            {"base_args": ["--act=hangs"], "loading_timeout": 1.0},
            r"not up after 1 s \(raise loading_timeout(.*\n)*.*50%",
        ),
        ({"base_args": ["--act=silent"]}, r"base endpoint .*--enable-prompt-tokens-details"),
        ({"base_args": ["--act=forgets"]}, r"base endpoint .*--enable-prefix-caching"),
    ],
)
async def test_a_server_that_will_not_do_is_told_why_and_nothing_is_left(
    changes: dict[str, Any], says: str, processes: Processes
) -> None:
    with pytest.raises(EndpointError, match=says):
        async with running(LaunchPlan(**processes.plan(**changes))):
            pytest.fail("the block was entered")
    assert processes.alive() == {}


async def test_an_error_of_the_block_comes_out_as_it_is(processes: Processes) -> None:
    with pytest.raises(ZeroDivisionError):
        async with running(LaunchPlan(**processes.plan())):
            _ = 1 / 0
    assert processes.alive() == {}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"python": "/no/such/python"}, r"python: can't run /no/such/python \(No such file"),
        ({"log_dir": "/dev/null/logs"}, r"log_dir: can't write to /dev/null/logs .*--log-dir"),
        ({"host": "192.0.2.1"}, r"base_port: can't listen at port 0 of 192\.0\.2\.1 .*--base-port"),
    ],
)
async def test_what_cannot_work_here_is_said_before_anything_starts(
    changes: dict[str, Any], says: str, processes: Processes
) -> None:
    with pytest.raises(ConfigError, match=says):
        async with running(LaunchPlan(**processes.plan(**changes))):
            pytest.fail("the block was entered")


async def test_an_interpreter_without_vllm_is_named_with_the_fix(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH")
    with pytest.raises(ConfigError, match=r"has no vLLM; install it there .*--python"):
        async with running(LaunchPlan(**processes.plan())):
            pytest.fail("the block was entered")

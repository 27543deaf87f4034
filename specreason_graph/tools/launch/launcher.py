"""Both servers of a pair, one after the other, for as long as a block runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from specreason_graph.contract.config import PairConfig
from specreason_graph.contract.settings import ROLES, Role
from specreason_graph.tools.launch.check import check
from specreason_graph.tools.launch.command import commands, pair_config
from specreason_graph.tools.launch.plan import LaunchPlan
from specreason_graph.tools.launch.preflight import prepared
from specreason_graph.tools.launch.server import OnProgress, Server


@asynccontextmanager
async def running(plan: LaunchPlan, on_progress: OnProgress = lambda _: None) -> AsyncIterator[PairConfig]:
    """Serve a pair until the block is left; when a server ends before that, the block is cancelled.

    The draft is started when base is up: each measures how much of the card's memory is free. Both are up and
    checked when the block begins. Nothing of them is left when it ends, nor when this process is killed.

    Example:
        async with running(load_plan("qwen3-8b+0.6b")) as config, Pair(config) as pair:
            graph = create_specreason(pair=pair).compile()

    Raises:
        ConfigError: the plan can't work here; nothing was started.
        EndpointError: a server ended, took too long to load, or can't do what is needed.
    """
    plan = prepared(plan)
    async with serving(plan, ROLES, on_progress) as config:
        yield config


@asynccontextmanager
async def serving(
    plan: LaunchPlan, roles: Sequence[Role], on_progress: OnProgress = lambda _: None
) -> AsyncIterator[PairConfig]:
    """These servers of a plan that is `prepared`, as `running` does: so one can be restarted while the other stays.

    Raises:
        EndpointError: as `running`.
    """
    config = pair_config(plan)
    endpoints = {"base": config.base, "draft": config.draft}
    servers: list[Server] = []
    try:
        async with asyncio.TaskGroup() as group:
            watches: list[asyncio.Task[None]] = []
            try:
                for command in commands(plan):
                    if command.role not in roles:
                        continue
                    servers.append(Server(command, plan))
                    watches.append(group.create_task(servers[-1].watch()))
                    await servers[-1].loaded(on_progress)
                    await check(command.role, endpoints[command.role])
                yield config
            finally:
                for watch in watches:
                    watch.cancel()
                for server in servers:
                    server.release()
                for server in servers:
                    await server.stop()
    except BaseExceptionGroup as failures:  # the group wraps what it ends with
        raise failures.exceptions[0] from None

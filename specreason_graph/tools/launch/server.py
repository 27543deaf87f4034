"""One vLLM server under its guard: from its start to its end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import aiohttp

from specreason_graph.contract.errors import EndpointError
from specreason_graph.contract.settings import Role
from specreason_graph.tools.launch import guard
from specreason_graph.tools.launch.command import KEY_VARIABLE, Command
from specreason_graph.tools.launch.log import Log
from specreason_graph.tools.launch.plan import LaunchPlan

_POLL = 0.2  # seconds


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a server is."""

    role: Role
    seconds: float
    """Since its start."""
    phase: str
    line: str
    """What its log said of this phase last."""


OnProgress = Callable[[Progress], None]


class Server:
    """A server that was started; `stop` must be called whatever happens."""

    def __init__(self, command: Command, plan: LaunchPlan) -> None:
        self.role = command.role
        self._log = Log(plan.log_dir / f"{command.role}-{command.url.rpartition(':')[2]}.log")
        self._url = command.url
        self._plan = plan
        self._up = False
        self._started = time.monotonic()
        key = {KEY_VARIABLE: plan.api_key.get_secret_value()} if plan.api_key else {}
        # Isolated (-I) and by its path: as a module of the package, the guard would import all of it.
        script = [sys.executable, "-I", guard.__file__, str(plan.stop_timeout)]
        with self._log.path.open("wb") as file:
            self._guard = subprocess.Popen(
                [*script, *command.argv],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                env={**os.environ, **command.env, **key},
                start_new_session=True,  # Ctrl-C in a terminal is the launcher's alone
            )

    async def loaded(self, on_progress: OnProgress) -> None:
        """Wait until the server answers.

        Raises:
            EndpointError: it took longer than `loading_timeout`.
        """
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:
            while not await self._answers(http):
                if self._seconds > self._plan.loading_timeout:
                    raise EndpointError(
                        f"{self.role} server was not up after {self._plan.loading_timeout:g} s (raise "
                        f"loading_timeout); from {self._log.path}:\n{self._log.failure()}"
                    )
                self._log.follow()
                on_progress(Progress(self.role, self._seconds, self._log.phase, self._log.line))
                await asyncio.sleep(_POLL)
        self._up = True
        on_progress(Progress(self.role, self._seconds, "up", self._url))

    async def watch(self) -> None:
        """Wait for the end of a server that was not told to stop.

        Raises:
            EndpointError: always, with the error of its log.
        """
        status = await self._ended()
        raise EndpointError(
            f"{self.role} server ended while {'running' if self._up else 'loading'} ({_why(status)}); "
            f"from {self._log.path}:\n{self._log.failure()}"
        )

    def release(self) -> None:
        """Tell the guard to stop the server."""
        if self._guard.stdin is not None:
            self._guard.stdin.close()

    async def stop(self) -> None:
        """Stop the server, and wait until nothing of it is left."""
        self.release()
        await self._ended()

    async def _ended(self) -> int:
        while (status := self._guard.poll()) is None:  # noqa: ASYNC110 - a process has no event
            await asyncio.sleep(_POLL)
        if status < 0:  # the guard itself was killed: its process group is the server's
            with suppress(ProcessLookupError):
                os.killpg(self._guard.pid, signal.SIGKILL)
        return status

    async def _answers(self, http: aiohttp.ClientSession) -> bool:
        with suppress(aiohttp.ClientError, TimeoutError):
            async with http.get(f"{self._url}/health") as response:
                return response.status == 200
        return False

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._started


def _why(status: int) -> str:
    if status < 0:
        return f"its guard was ended by {signal.Signals(-status).name}"
    if status > 128:
        name = signal.Signals(status - 128).name
        return f"ended by {name}" + (": was there too little memory?" if name == "SIGKILL" else "")
    return f"exit status {status}"

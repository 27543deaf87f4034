"""What can be known before anything is started, and is said then: loading a model takes minutes."""

from __future__ import annotations

import random
import secrets
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from pydantic import SecretStr

from specreason_graph.contract.errors import ConfigError
from specreason_graph.tools.launch.plan import LaunchPlan

_QUIET = range(20_000, 32_000)
"""Ports below those that systems give to outgoing connections."""
_TRIES = 20
_HAS_VLLM = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"


def prepared(plan: LaunchPlan) -> LaunchPlan:
    """The plan with a key and real ports, and the folder of its logs.

    Raises:
        ConfigError: not on Linux, no vLLM in the interpreter, no place for logs, or a port is taken.
    """
    if sys.platform != "linux":
        raise ConfigError("servers are launched on Linux only; elsewhere start them yourself (--dry-run prints how)")
    _check_interpreter(plan.python)
    _make_folder(plan.log_dir)
    key = plan.api_key or SecretStr(secrets.token_urlsafe())
    return plan.model_copy(update={"api_key": key, **_ports(plan)})


def _check_interpreter(python: str) -> None:
    try:
        found = subprocess.run([python, "-c", _HAS_VLLM], capture_output=True, check=False)
    except OSError as error:
        raise ConfigError(f"python: can't run {python} ({error.strerror})") from None
    if found.returncode != 0:
        raise ConfigError(
            f"python: {python} has no vLLM; install it there (pip install 'specreason-graph[vllm]'), or name the "
            "interpreter that has it with --python"
        )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ConfigError(f"log_dir: can't write to {folder} ({error.strerror}); name another with --log-dir") from None


def _ports(plan: LaunchPlan) -> dict[str, int]:
    """The ports, free ones where 0 was asked for."""
    family = socket.AF_INET6 if ":" in plan.host else socket.AF_INET
    ports = {"base_port": plan.base_port, "draft_port": plan.draft_port}
    with ExitStack() as held:  # both at once: a free port must not be found twice
        for setting, port in ports.items():
            listener = held.enter_context(closing(socket.socket(family)))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as vLLM binds: just closed is free
            try:
                _bind(listener, plan.host, port)
            except OSError as error:
                raise ConfigError(
                    f"{setting}: can't listen at port {port} of {plan.host} ({error.strerror}); choose another with "
                    f"--{setting.replace('_', '-')}, or stop what uses it"
                ) from None
            ports[setting] = listener.getsockname()[1]
    return ports


def _bind(listener: socket.socket, host: str, port: int) -> None:
    """At the port; for 0 at a free one that no outgoing connection will have taken until the server is there."""
    for wanted in random.sample(_QUIET, _TRIES) if port == 0 else ():
        with suppress(OSError):
            listener.bind((host, wanted))
            return
    listener.bind((host, port))

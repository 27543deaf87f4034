"""Runs the command as its entry point does, on scripted servers on loopback."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from specreason_graph.testing import Script, ScriptedPair, ScriptedServer, scripted_pair
from specreason_graph.tools.cli import main


@contextmanager
def serving(
    base: Script | ScriptedServer, draft: Script | ScriptedServer, template: Any = "think"
) -> Iterator[ScriptedPair]:
    """Scripted servers in a loop of their own, since the command is another process."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def call(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(timeout=60)

    context = scripted_pair(base, draft, template=template)
    servers = call(context.__aenter__())
    try:
        yield servers
    finally:
        call(context.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    status: object
    out: str
    err: str


class Specreason(Protocol):
    """The `specreason` fixture."""

    def __call__(self, *arguments: str, stdin: str = ...) -> Done: ...


@pytest.fixture
def specreason(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Specreason]:
    """Run the command in this process, as its entry point does."""
    for name in [name for name in os.environ if name.startswith("SPECREASON_")]:
        monkeypatch.delenv(name)

    interrupted = signal.getsignal(signal.SIGINT)

    def run(*arguments: str, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "argv", ["specreason", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as caught:
            main()
        return Done(caught.value.code, *capsys.readouterr())

    yield run
    signal.signal(signal.SIGINT, interrupted)


def at(servers: ScriptedPair, preset: str = "thinking") -> list[str]:
    urls = ["--base-url", servers.base.url, "--draft-url", servers.draft.url]
    return [*urls, "--preset", preset]

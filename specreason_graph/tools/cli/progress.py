"""Long work on a terminal; on standard error, so that standard output stays a script's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from specreason_graph.tools.cli.status import INTERRUPTED


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar of `total` things; each call is one more that is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


@contextmanager
def stoppable(out: Path) -> Iterator[Callable[[], None]]:
    """Ctrl-C ends the work, not the command: what is in `out` by then can be reported.

    What it yields is called at the command's end, which then says by its status that it was interrupted.
    """
    stopped = False

    def leave() -> None:
        if stopped:
            raise typer.Exit(INTERRUPTED)

    try:
        yield leave
    except KeyboardInterrupt:
        if not out.exists():
            raise
        stopped = True
        Console(stderr=True).print(f"stopped; what is finished is in {out}, and the same command goes on", markup=False)

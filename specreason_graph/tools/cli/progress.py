"""Long work on a terminal; on standard error, so that standard output stays a script's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar of `total` things; each call is one more that is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


@contextmanager
def stoppable(out: Path) -> Iterator[None]:
    """Ctrl-C ends the work, not the command: what is in `out` by then is reported."""
    try:
        yield
    except KeyboardInterrupt:
        Console(stderr=True).print(f"stopped; the same command goes on from {out}", markup=False)

"""`specreason up`: the two vLLM servers of a pair, from one command."""

from __future__ import annotations

import asyncio
import functools
import inspect
import shlex
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.text import Text

from specreason_graph.contract.config import Environment, PairConfig
from specreason_graph.tools.launch import LaunchPlan, Progress, load_plan, running
from specreason_graph.tools.launch.command import commands
from specreason_graph.tools.launch.env_file import check_free, written
from specreason_graph.tools.launch.plan import known_pairs
from specreason_graph.tools.launch.server import OnProgress
from specreason_graph.use.address import is_loopback
from specreason_graph.use.signals import on_ending_signal

_NO_OPTIONS = ("source", "base_args", "draft_args", "api_key")
"""On a command line vLLM's arguments would look like ours, and everybody on the machine would see a key (`ps`)."""
_Source = Annotated[
    str | None, typer.Argument(metavar="PAIR|FILE.toml", help=f"A TOML file, or one of {', '.join(known_pairs())}")
]


def _with_plan(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's `plan` parameter by a source, and an option for each field of a plan, which comes on top."""
    options = {name: _option(it) for name, it in LaunchPlan.model_fields.items() if name not in _NO_OPTIONS}
    own = {
        name: it for name, it in get_type_hints(command, include_extras=True).items() if name not in ("plan", "return")
    }
    defaults = {name: it.default for name, it in inspect.signature(command).parameters.items()}

    @functools.wraps(command)
    def parsed(source: str | None, **values: Any) -> None:
        changes = {name: values.pop(name) for name in options} | {"api_key": Environment().api_key}
        plan = load_plan(source, {name: value for name, value in changes.items() if value is not None})
        command(plan=plan, **values)

    hints = {"source": _Source, **own, **options}
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults.get(name), annotation=hint)
        for name, hint in hints.items()
    ]
    parsed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    parsed.__annotations__ = hints
    return parsed


def _option(field: FieldInfo) -> Any:
    shown = False if field.default is None or field.is_required() else str(field.default)
    return Annotated[
        field.annotation | None,  # type: ignore[operator]
        typer.Option(help=field.description, show_default=shown, rich_help_panel="The servers"),
    ]


@_with_plan
def up(
    plan: LaunchPlan,
    env_file: Annotated[
        Path | None, typer.Option(help="Also write the environment there, for as long as both serve")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the two commands, and start nothing")] = False,
) -> None:
    """Serve a pair with two vLLM servers, until Ctrl-C: one loads after the other, and both are checked.

    Standard output gets the environment in which `specreason solve` and your own graphs find them. A TOML file has
    the options' names, with underscores, and lists `base_args` and `draft_args` of more arguments for vLLM.
    """
    if dry_run:
        print(*commands(plan), sep="\n")
        return
    if env_file is not None:
        check_free(env_file)
    with suppress(asyncio.CancelledError):
        asyncio.run(_serve(plan, env_file, Console(stderr=True, highlight=False)))


async def _serve(plan: LaunchPlan, env_file: Path | None, console: Console) -> None:
    _stop_on_signals(console)
    if not is_loopback(plan.host):
        console.print(f"{plan.host} can be reached from the network; /tokenize and /health need no key", style="yellow")
    async with AsyncExitStack() as stack:
        with _shown(console) as on_progress:
            pair = await stack.enter_async_context(running(plan, on_progress))
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in _environment(pair).items())
        if env_file is not None:
            stack.enter_context(written(env_file, exports))
        print(exports, end="", flush=True)
        console.print("both answer, with log-probabilities and cached tokens; Ctrl-C stops them", style="bold")
        await asyncio.Event().wait()


def _stop_on_signals(console: Console) -> None:
    """Have this task cancelled by what ends a command."""
    task = asyncio.current_task()

    def stop(_: int) -> None:
        console.print("stopping")
        if task is not None:
            task.cancel()

    on_ending_signal(stop)


@contextmanager
def _shown(console: Console) -> Iterator[OnProgress]:
    """A live line on a terminal; a line for each phase anywhere."""
    last: tuple[str, str] | None = None

    def show(progress: Progress) -> None:
        nonlocal last
        said = f"{progress.role} {progress.seconds:.0f} s  {progress.line or progress.phase}"
        status.update(Text(said, no_wrap=True, overflow="ellipsis"))
        if last != (now := (progress.role, progress.phase)):
            what = f"{progress.phase} {progress.line}" if progress.phase == "up" else progress.phase
            console.print(f"{progress.role:<5} {progress.seconds:>5.0f} s  {what}", markup=False)
        last = now

    with console.status("") as status:
        yield show


def _environment(pair: PairConfig) -> dict[str, str]:
    key = pair.base.api_key
    return {
        "SPECREASON_BASE_URL": pair.base.base_url,
        "SPECREASON_DRAFT_URL": pair.draft.base_url,
        **({"SPECREASON_API_KEY": key.get_secret_value()} if key else {}),
        **({"SPECREASON_PRESET": pair.preset} if pair.preset else {}),
    }

"""Command-line options: one for each field of `Settings`, and the ways to say which models to run on."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar, get_type_hints

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from specreason_graph.contract.config import Dialect, Environment, PairConfig
from specreason_graph.contract.errors import ConfigError, checked
from specreason_graph.contract.settings import Settings
from specreason_graph.judging.policy import FittedPolicy, load_policy
from specreason_graph.models.embedded import embedded_pair
from specreason_graph.models.weights import PairFiles, pull


def finite(value: float | None) -> float | None:
    """The number of an option, where its bounds let what is none pass.

    Raises:
        typer.BadParameter: it is infinite, or no number.
    """
    if value is not None and not isfinite(value):
        raise typer.BadParameter(f"{value} is no finite number")
    return value


ProblemSource = Annotated[
    str,
    typer.Option(
        metavar="FILE|TASK[:COUNT]",
        help="JSONL or Parquet with the columns of GSM8K, AIME, MATH-500 or GPQA, or a reasoning-gym task",
    ),
]
Skip = Annotated[int, typer.Option(min=0, help="Leave out the first n problems")]
Limit = Annotated[int | None, typer.Option(min=1, help="How many problems; all if not given")]
Concurrency = Annotated[int, typer.Option(min=1, help="How many run at a time; seconds are honest at 1 only")]
PolicyFile = Annotated[Path | None, typer.Option(help="Fitted policy that `specreason calibrate` wrote")]

DEFAULT_PAIR = "qwen2.5-coder"

_Result = TypeVar("_Result")

BaseUrl = Annotated[
    str | None, typer.Option(help="Base model's server, such as http://127.0.0.1:8000; several with commas")
]
DraftUrl = Annotated[str | None, typer.Option(help="Draft model's server, likewise")]
DialectOption = Annotated[Dialect | None, typer.Option(help="What the servers are; vllm if nothing says it")]
Embedded = Annotated[str, typer.Option(help="Which embedded pair to run when no server is given")]
BaseGguf = Annotated[Path | None, typer.Option(help="A GGUF file of your own as the embedded base model")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of each embedded model; one a core if not given")]
DraftGguf = Annotated[Path | None, typer.Option(help="A GGUF file of your own as the embedded draft model")]


class Serve(Protocol):
    """Serves the chosen pair while its block runs; embedded models answer `slots` requests at a time."""

    def __call__(self, *, slots: int = ...) -> AbstractContextManager[PairConfig]:
        """The pair's addresses."""


def _optional(annotation: Any) -> Any:
    return annotation if annotation is None or type(None) in getattr(annotation, "__args__", ()) else annotation | None


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether somebody said an option, and it is not its default that is seen."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def some_settings(*names: str) -> Callable[[Callable[..., _Result]], Callable[..., _Result]]:
    """Replace a command's `settings` parameter by one option for each of these fields of `Settings`.

    What is not given is not set, though its default is shown: a command may have another one in its place.
    """
    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[
                _optional(field.annotation),
                typer.Option(help=field.description, rich_help_panel="The run"),
            ],
        )
        for name, field in Settings.model_fields.items()
        if name in names
    ]

    def decorate(command: Callable[..., _Result]) -> Callable[..., _Result]:
        @functools.wraps(command)
        def parsed(context: typer.Context, **values: Any) -> _Result:
            chosen = {p.name: values.pop(p.name) for p in options}
            given = {name: value for name, value in chosen.items() if _is_given(context, name)}
            return command(**values, settings=checked(Settings, given))

        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        return _taking(parsed, command, instead_of="settings", options=[context, *options])

    return decorate


_FOR_PROGRAMS = {"answer_schema", "answer_stop", "ask_band", "tools", "tool_choice", "parallel_tool_calls"}
_SHOWN = Settings.model_fields.keys() - {"pair", *_FOR_PROGRAMS}
with_served_settings = some_settings(*_SHOWN)
"""All others, so that none is forgotten; which pair runs is said by the options of `with_pair`."""
with_settings = some_settings(*_SHOWN - {"turn_reasoning_budget"})
"""Those of a single question: its turn is its run."""
with_graded_settings = some_settings(*_SHOWN - {"turn_reasoning_budget", "boxed"})
"""Those of problems that are graded: the box is asked for in any case."""


def with_pair(command: Callable[..., _Result]) -> Callable[..., _Result]:
    """Replace a command's `serve` parameter by the options that say which models run.

    `serve(slots=…)` is a context manager that gives the pair's addresses; see `chosen_pair`.
    """
    hints = get_type_hints(chosen_pair, include_extras=True)
    options = [
        p.replace(annotation=hints[name])
        for name, p in inspect.signature(chosen_pair).parameters.items()
        if name != "slots"
    ]

    @functools.wraps(command)
    def parsed(**values: Any) -> _Result:
        chosen = {p.name: values.pop(p.name) for p in options}
        return command(**values, serve=functools.partial(chosen_pair, **chosen))

    return _taking(parsed, command, instead_of="serve", options=options)


def _taking(
    wrapper: Callable[..., _Result], command: Callable[..., Any], *, instead_of: str, options: list[inspect.Parameter]
) -> Callable[..., _Result]:
    given, hints = inspect.signature(command), get_type_hints(command, include_extras=True)
    kept = [p.replace(annotation=hints[name]) for name, p in given.parameters.items() if name != instead_of]
    wrapper.__signature__ = given.replace(parameters=[*kept, *options])  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in [*kept, *options]}
    return wrapper


@contextmanager
def chosen_pair(
    *,
    base_url: BaseUrl = None,
    draft_url: DraftUrl = None,
    dialect: DialectOption = None,
    embedded: Embedded = DEFAULT_PAIR,
    base_gguf: BaseGguf = None,
    draft_gguf: DraftGguf = None,
    threads: Threads = None,
    slots: int = 1,
) -> Iterator[PairConfig]:
    """The models that the options name, else those of the environment, else the embedded pair.

    Keys are of the environment: other users of the machine see a command's options. Embedded models answer `slots`
    requests at a time.

    Raises:
        ConfigError: only one of two is given, or nothing to run on is there.
        WeightsError: the embedded pair's files can't be fetched.
    """
    for one, other, names in [(base_url, draft_url, "url"), (base_gguf, draft_gguf, "gguf")]:
        if (one is None) != (other is None):
            raise ConfigError(f"give both --base-{names} and --draft-{names}, or neither")
    if base_url is not None and draft_url is not None:
        chosen = {"base_url": base_url, "draft_url": draft_url} | ({"dialect": dialect} if dialect else {})
        yield Environment(**chosen).configured()["default"]
    elif base_gguf is not None and draft_gguf is not None:
        with embedded_pair(PairFiles(base_gguf, draft_gguf), threads=threads, slots=slots) as config:
            yield config
    elif configured := Environment().configured().get("default"):
        yield configured
    else:
        with embedded_pair(pull_with_progress(embedded), threads=threads, slots=slots) as config:
            yield config


def pull_with_progress(pair: str) -> PairFiles:
    """Fetch an embedded pair's files with a progress bar on standard error."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=Console(stderr=True))
    tasks: dict[str, TaskID] = {}

    def at(name: str, done: int, total: int) -> None:
        progress.start()  # here, since files that are there already need no bar
        if name not in tasks:
            tasks[name] = progress.add_task(name, total=total)
        progress.update(tasks[name], completed=done)

    try:
        return pull(pair, progress=at)
    finally:
        if tasks:
            progress.stop()


def with_policy(settings: Settings, file: Path | None) -> tuple[Settings, list[FittedPolicy]]:
    """The settings that use the policy in a file, and the policy; as they are where there is none.

    Raises:
        ConfigError: the file is no policy.
    """
    if file is None:
        return settings, []
    policy = load_policy(file)
    return settings.overridden(by={"policy": policy.name}), [policy]

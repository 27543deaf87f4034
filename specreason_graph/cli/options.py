"""Command-line options: one for each field of `Settings`, and the ways to say which models to run on."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer
from pydantic import SecretStr
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

from specreason_graph.config import Dialect, Environment, PairConfig
from specreason_graph.embedded import embedded_pair
from specreason_graph.errors import ConfigError, checked
from specreason_graph.settings import Settings
from specreason_graph.weights import PairFiles, pull

_Result = TypeVar("_Result")

BaseUrl = Annotated[str | None, typer.Option(help="Base model's server, such as http://127.0.0.1:8000")]
DraftUrl = Annotated[str | None, typer.Option(help="Draft model's server")]
ApiKey = Annotated[str | None, typer.Option(envvar="SPECREASON_API_KEY", show_envvar=True, help="Key of both servers")]
DialectOption = Annotated[Dialect, typer.Option(help="What the servers are")]
Embedded = Annotated[str, typer.Option(help="Which embedded pair to run when no server is given")]
BaseGguf = Annotated[Path | None, typer.Option(help="A GGUF file of your own as the embedded base model")]
DraftGguf = Annotated[Path | None, typer.Option(help="A GGUF file of your own as the embedded draft model")]


def with_settings(command: Callable[..., _Result]) -> Callable[..., _Result]:
    """Replace a command's `settings` parameter by one option a field of `Settings`, so that none is forgotten."""
    given, hints = inspect.signature(command), get_type_hints(command, include_extras=True)
    kept = [p.replace(annotation=hints[name]) for name, p in given.parameters.items() if name != "settings"]
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
        if name != "pair"
    ]

    @functools.wraps(command)
    def parsed(**values: Any) -> _Result:
        chosen = {p.name: values.pop(p.name) for p in options}
        settings = checked(Settings, {name: value for name, value in chosen.items() if value is not None})
        return command(**values, settings=settings)

    parsed.__signature__ = given.replace(parameters=[*kept, *options])  # type: ignore[attr-defined]
    parsed.__annotations__ = {p.name: p.annotation for p in [*kept, *options]}
    return parsed


@contextmanager
def chosen_pair(
    base_url: str | None,
    draft_url: str | None,
    api_key: str | None,
    dialect: Dialect,
    embedded: str,
    base_gguf: Path | None,
    draft_gguf: Path | None,
) -> Iterator[PairConfig]:
    """The models that the options name, else those of the environment, else the embedded pair.

    Raises:
        ConfigError: only one of two is given, or nothing to run on is there.
        WeightsError: the embedded pair's files can't be fetched.
    """
    for one, other, names in [(base_url, draft_url, "url"), (base_gguf, draft_gguf, "gguf")]:
        if (one is None) != (other is None):
            raise ConfigError(f"give both --base-{names} and --draft-{names}, or neither")
    if base_url is not None and draft_url is not None:
        key = None if api_key is None else SecretStr(api_key)
        environment = Environment(base_url=base_url, draft_url=draft_url, api_key=key, dialect=dialect)
        yield environment.configured()["default"]
    elif base_gguf is not None and draft_gguf is not None:
        with embedded_pair(PairFiles(base_gguf, draft_gguf)) as config:
            yield config
    elif configured := Environment().configured().get("default"):
        yield configured
    else:
        with embedded_pair(pull_with_progress(embedded)) as config:
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


def _optional(annotation: Any) -> Any:
    return annotation if annotation is None or type(None) in getattr(annotation, "__args__", ()) else annotation | None

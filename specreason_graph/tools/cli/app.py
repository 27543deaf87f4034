"""The commands of `specreason`, and what becomes of what goes wrong in them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, TextIO

import typer
from langchain_core.messages import HumanMessage
from rich.console import Console

from specreason_graph.contract.config import PairConfig
from specreason_graph.contract.errors import ConfigError, SpecReasonError
from specreason_graph.contract.settings import Settings
from specreason_graph.judging.policy import FittedPolicy
from specreason_graph.loop.report import Report
from specreason_graph.models.embedded import embedded_pair
from specreason_graph.tools.cli.bench import bench
from specreason_graph.tools.cli.calibrate import calibrate_command
from specreason_graph.tools.cli.doctor import doctor
from specreason_graph.tools.cli.files import check_file
from specreason_graph.tools.cli.options import (
    DEFAULT_PAIR,
    Embedded,
    PolicyFile,
    Serve,
    pull_with_progress,
    with_graded_settings,
    with_pair,
    with_policy,
    with_settings,
)
from specreason_graph.tools.cli.predict import predict
from specreason_graph.tools.cli.problems import PROBLEMS
from specreason_graph.tools.cli.rejudge import rejudge_command
from specreason_graph.tools.cli.serve import serve_command
from specreason_graph.tools.cli.show import Show
from specreason_graph.tools.cli.solve import solve
from specreason_graph.tools.cli.status import BAD_USAGE, ERROR, NO_ANSWER, OK
from specreason_graph.tools.cli.texts import asked, given
from specreason_graph.tools.cli.up import up
from specreason_graph.tools.cli.view import HtmlFile, OpenIt, save_runs, view_command

_GOES_ON = "What was stopped goes on where it was: run the same command again."

app = typer.Typer(
    name="specreason",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="SpecReason: a small model drafts reasoning steps, the base model judges each and writes the rejected ones.",
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        print(f"specreason-graph {version('specreason-graph')}")
        raise typer.Exit(OK)


@app.callback()
def _before(
    _version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit")
    ] = False,
) -> None:
    """Options that need no command."""


@app.command("solve", epilog="Exit status: 0 answered, 1 error, 2 bad usage, 3 stopped without an answer.")
@with_settings
@with_pair
def solve_command(
    question: Annotated[str, typer.Argument(help="What to reason about; - reads it from standard input")],
    settings: Settings,
    serve: Serve,
    image: Annotated[
        list[Path] | None, typer.Option(help="An image that it is about (PNG, JPEG, WebP, GIF); again for more")
    ] = None,
    policy_file: PolicyFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead")] = False,
    html: HtmlFile = None,
    open_it: OpenIt = False,
) -> None:
    """Answer a question, showing each step: who wrote it, its score, and whether it was accepted."""
    message = asked(given(question), image or ())
    if html is not None:
        check_file("html", html)
    settings, policies = with_policy(settings, policy_file)
    with serve() as config:
        outcome, failure = _solved(config, message, settings, policies, as_json=as_json)
    if html is not None or open_it:
        save_runs([(outcome, "")], html, open_it=open_it)
    if failure is not None:
        raise failure
    raise typer.Exit(NO_ANSWER if outcome["answer"] is None else OK)


@app.command()
@with_graded_settings
def demo(settings: Settings, embedded: Embedded = DEFAULT_PAIR, html: HtmlFile = None, open_it: OpenIt = False) -> None:
    """Solve three built-in word problems on the embedded pair."""
    if html is not None:
        check_file("html", html)
    console, boxed = Console(highlight=False), settings.overridden({"boxed": True})
    right, told = 0, []
    with embedded_pair(pull_with_progress(embedded)) as config:
        for problem, expected in PROBLEMS:
            console.rule(style="dim")
            console.print(problem, style="bold", markup=False)
            outcome, failure = _solved(config, asked(problem), boxed, as_json=False)
            if failure is not None:
                raise failure
            is_right = expected in (outcome["answer"] or "")
            right += is_right
            told.append((outcome, "right" if is_right else "wrong"))
    console.print(f"\n{right} of {len(PROBLEMS)} right", style="bold")
    if html is not None or open_it:
        save_runs(told, html, title="Three word problems", open_it=open_it)
    raise typer.Exit(OK if right else NO_ANSWER)


@app.command("pull")
def pull_command(pair: Annotated[str, typer.Argument(help="Which pair of models")] = DEFAULT_PAIR) -> None:
    """Fetch the files of an embedded pair into the user's cache, and check them."""
    files = pull_with_progress(pair)
    for role, path in (("base", files.base), ("draft", files.draft)):
        print(f"{role}\t{path}")


app.command("bench", epilog=_GOES_ON)(bench)
app.command("calibrate", epilog=_GOES_ON)(calibrate_command)
app.command("rejudge")(rejudge_command)
app.command("view")(view_command)
app.command("predict")(predict)
app.command("up")(up)
app.command("serve")(serve_command)
app.command("doctor", epilog="Exit status: 0 nothing is wrong, 1 something is, 2 bad usage.")(doctor)


def run() -> int:
    """Run the command that the arguments name; what goes wrong is one line on standard error.

    Returns:
        The exit status.
    """
    _speak_utf8()
    try:
        app()
    except SystemExit as ended:  # of every command
        status = ended.code if isinstance(ended.code, int) else OK
    except SpecReasonError as error:
        status = _failed(str(error), BAD_USAGE if isinstance(error, ConfigError) else ERROR)
    except OSError as error:
        status = _failed(_of_the_system(error), ERROR)
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has read enough
        status = ERROR
        _drop(sys.stdout)
    except OSError as error:
        status = _failed(f"can't write to standard output: {error.strerror}", ERROR)
        _drop(sys.stdout)
    return status


def _speak_utf8() -> None:
    """Whatever the locale: steps hold any letter, and the marks beside them are none of ASCII."""
    sys.stdin, sys.stdout, sys.stderr = (
        stream or open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115 - closed by whoever started us
        for stream, mode in ((sys.stdin, "r"), (sys.stdout, "w"), (sys.stderr, "w"))
    )
    for stream, errors in ((sys.stdin, "strict"), (sys.stdout, "replace"), (sys.stderr, "replace")):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors)


def _failed(message: str, status: int) -> int:
    with suppress(OSError):
        print(f"specreason: {' '.join(message.splitlines())}", file=sys.stderr)
    return status


def _of_the_system(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)


def _drop(stream: TextIO) -> None:
    """Let what could not be written go nowhere: Python would try once more at its end."""
    with suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def _solved(
    config: PairConfig,
    question: HumanMessage,
    settings: Settings,
    policies: Sequence[FittedPolicy] = (),
    *,
    as_json: bool,
) -> tuple[Report, SpecReasonError | KeyboardInterrupt | None]:
    """A run, told as it goes; what ended it is raised here where no step was finished before."""
    show = Show(Console(highlight=False))
    outcome, failure = solve(config, question, settings, (lambda _: None) if as_json else show, policies)
    if failure is not None and not outcome["steps"]:
        raise failure
    if as_json:
        print(json.dumps(outcome))
    else:
        show.summary(outcome)
    return outcome, failure

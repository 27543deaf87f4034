"""The `specreason` command."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.console import Console

from specreason_graph.cli.options import (
    ApiKey,
    BaseGguf,
    BaseUrl,
    DialectOption,
    DraftGguf,
    DraftUrl,
    Embedded,
    chosen_pair,
    pull_with_progress,
    with_settings,
)
from specreason_graph.cli.problems import PROBLEMS
from specreason_graph.cli.show import Show
from specreason_graph.cli.solve import solve
from specreason_graph.config import PairConfig
from specreason_graph.embedded import embedded_pair
from specreason_graph.errors import ConfigError, SpecReasonError
from specreason_graph.settings import Settings

DEFAULT_PAIR = "qwen2.5-coder"
OK, ERROR, BAD_USAGE, NO_ANSWER = 0, 1, 2, 3

app = typer.Typer(
    name="specreason",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="SpecReason: a small model drafts reasoning steps, the base model judges each and writes the rejected ones.",
)


@app.command("solve", epilog="Exit status: 0 answered, 1 error, 2 bad usage, 3 stopped without an answer.")
@with_settings
def solve_command(
    question: Annotated[str, typer.Argument(help="What to reason about; - reads it from standard input")],
    settings: Settings,
    base_url: BaseUrl = None,
    draft_url: DraftUrl = None,
    api_key: ApiKey = None,
    dialect: DialectOption = "vllm",
    embedded: Embedded = DEFAULT_PAIR,
    base_gguf: BaseGguf = None,
    draft_gguf: DraftGguf = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead")] = False,
) -> None:
    """Answer a question, showing each step: who wrote it, its score, and whether it was accepted."""
    text = sys.stdin.read() if question == "-" else question
    if not text.strip():
        raise ConfigError("question: it is empty")
    with chosen_pair(base_url, draft_url, api_key, dialect, embedded, base_gguf, draft_gguf) as config:
        answer = _answer(config, text, settings, as_json=as_json)
    raise typer.Exit(NO_ANSWER if answer is None else OK)


@app.command()
@with_settings
def demo(settings: Settings, embedded: Embedded = DEFAULT_PAIR) -> None:
    """Solve three built-in word problems on the embedded pair."""
    console = Console(highlight=False)
    right = 0
    with embedded_pair(pull_with_progress(embedded)) as config:
        for problem, expected in PROBLEMS:
            console.rule(style="dim")
            console.print(problem, style="bold", markup=False)
            right += expected in (_answer(config, problem, settings, as_json=False) or "")
    console.print(f"\n{right} of {len(PROBLEMS)} right", style="bold")
    raise typer.Exit(OK if right else NO_ANSWER)


@app.command("pull")
def pull_command(pair: Annotated[str, typer.Argument(help="Which pair of models")] = DEFAULT_PAIR) -> None:
    """Fetch the files of an embedded pair into the user's cache, and check them."""
    files = pull_with_progress(pair)
    for role, path in (("base", files.base), ("draft", files.draft)):
        print(f"{role}\t{path}")


def main() -> None:
    """Run the command line; an error of ours is one line on standard error."""
    try:
        app()
    except SpecReasonError as error:
        print(f"specreason: {error}", file=sys.stderr)
        sys.exit(BAD_USAGE if isinstance(error, ConfigError) else ERROR)


def _answer(config: PairConfig, question: str, settings: Settings, *, as_json: bool) -> str | None:
    show = Show(Console(highlight=False))
    outcome, failure = solve(config, question, settings, (lambda _: None) if as_json else show)
    if failure is not None and not outcome["steps"]:
        raise failure
    if as_json:
        print(json.dumps(outcome))
    else:
        show.summary(outcome)
    if failure is not None:
        raise failure
    return outcome["answer"]

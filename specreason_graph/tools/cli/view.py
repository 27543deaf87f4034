"""`specreason view`: a recorded run as one HTML file; and the same behind `solve`, `bench` and `calibrate`."""

from __future__ import annotations

import tempfile
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from specreason_graph.contract.errors import ConfigError
from specreason_graph.loop.report import Report
from specreason_graph.tools.cli.files import check_file
from specreason_graph.tools.pages import write_page

HtmlFile = Annotated[Path | None, typer.Option("--html", help="Write a page of the run to this file")]
OpenIt = Annotated[bool, typer.Option("--open", help="Show the page in the browser")]


def view_command(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A file of `solve --json` (- is standard input), JOURNAL#PROBLEM of `bench`, sqlite:FILE#THREAD or "
            "postgresql://…#THREAD of a checkpointer, or the address of a run at a gateway",
        ),
    ],
    out: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Where to write the page")] = None,
    arm: Annotated[str | None, typer.Option(help="Which arm of the problem; ours if there are several")] = None,
    sample: Annotated[int | None, typer.Option(min=0, help="Which sample of the problem; the first, 0")] = None,
    number: Annotated[
        int | None, typer.Option(min=1, help="Which run of the thread; the last if there are several")
    ] = None,
    open_it: OpenIt = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what the page shows as one JSON object")] = False,
) -> None:
    """Make a page of a recorded run: one file to open, without a server or a network."""
    from specreason_graph.tools.recorded_runs import page_of_run  # what makes pages is no other command's business
    from specreason_graph.tools.threads import SQLITE, split_at_file
    from specreason_graph.use.page.render import runs_html

    if out is None and not (open_it or as_json):
        raise ConfigError("out: name the page's file with --out FILE.html, or show it with --open")
    if out is not None:
        check_file("out", out, Path(run), Path(split_at_file(run.removeprefix(SQLITE))[0]))
    page = page_of_run(run, arm, sample, number, _say)
    if out is not None or open_it:
        _save(runs_html([page], page.title), out, open_it=open_it)
    if as_json:
        print(page.model_dump_json())


def save_runs(
    runs: Sequence[tuple[Report, str]], path: Path | None, *, title: str | None = None, open_it: bool = False
) -> None:
    """Write a page of some runs, each with what else it is called."""
    from specreason_graph.use.page.build import run_page
    from specreason_graph.use.page.render import runs_html

    pages = [run_page(run, about) for run, about in runs]
    _save(runs_html(pages, title or pages[0].title), path, open_it=open_it)


def _save(html: str, path: Path | None, *, open_it: bool = False) -> None:
    """Write a page and say its name, on standard error; without a path into a folder for what does not stay."""
    path = path or Path(tempfile.mkdtemp(prefix="specreason-")) / "run.html"
    write_page(path, html)
    _say(f"page: {path}")
    if open_it and not webbrowser.open(path.resolve().as_uri()):
        _say("there is no browser here that could show it")


def _say(line: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(line, markup=False)

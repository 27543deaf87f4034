"""`specreason view`: a recorded run as one HTML file; and the same behind `solve`, `bench` and `calibrate`."""

from __future__ import annotations

import tempfile
import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from specreason_graph.contract.errors import ConfigError
from specreason_graph.tools.cli.files import check_file
from specreason_graph.tools.recorded_runs import page_of_run
from specreason_graph.use.page.render import runs_html

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
    sample: Annotated[int, typer.Option(min=0, help="Which sample of the problem")] = 0,
    open_it: OpenIt = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what the page shows as one JSON object")] = False,
) -> None:
    """Make a page of a recorded run: one file to open, without a server or a network."""
    if out is None and not (open_it or as_json):
        raise ConfigError("out: name the page's file with --out FILE.html, or show it with --open")
    if out is not None:
        check_file("out", out)
    page = page_of_run(run, arm, sample)
    if out is not None or open_it:
        save(runs_html([page], page.title), out, open_it=open_it)
    if as_json:
        print(page.model_dump_json())


def save(html: str, path: Path | None, *, open_it: bool = False) -> None:
    """Write a page and say its name, on standard error; without a path into a folder for what does not stay."""
    path = path or Path(tempfile.mkdtemp(prefix="specreason-")) / "run.html"
    path.write_text(html, encoding="utf-8")
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"page: {path}", markup=False)
    if open_it:
        webbrowser.open(path.resolve().as_uri())

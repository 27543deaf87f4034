"""Settings as options: what was given can be told from what was not, and the help shows both."""

from __future__ import annotations

import typer
from typer.testing import CliRunner

from specreason_graph.contract.settings import Settings
from specreason_graph.tools.cli.options import with_settings


def given(*options: str) -> set[str]:
    """The settings that a command sees as set."""
    seen: list[Settings] = []
    app = typer.Typer()

    @app.command()
    @with_settings
    def command(settings: Settings) -> None:
        seen.append(settings)

    done = CliRunner().invoke(app, options)
    assert done.exit_code == 0, done.output
    return set(seen[0].model_fields_set)


def test_only_what_was_given_is_set() -> None:
    """Guards commands with a default of their own, such as bench's gate: any other value would pass for the user's."""
    assert given() == set()
    assert given("--gate", "auto", "--no-hedge") == {"gate", "hedge"}, "a default that was said counts"

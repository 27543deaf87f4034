"""A PostgreSQL server for the tests here, and what they counted."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from langgraph.checkpoint.postgres import PostgresSaver
from psycopg.conninfo import make_conninfo

from .stores import Store

SERVER = Path(__file__).with_name("postgres.sh")
COUNTED = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The one that SPECREASON_TEST_POSTGRES leads to, else one of its own; CI must not do without."""
    given = os.environ.get("SPECREASON_TEST_POSTGRES")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="specreason-postgres-") as folder:  # pytest's own are closed to its user
        started = subprocess.run([SERVER, "start", folder], capture_output=True, text=True)
        if started.returncode == 127 and "CI" not in os.environ:
            pytest.skip(started.stderr.strip())
        assert started.returncode == 0, started.stderr
        yield started.stdout.strip()
        subprocess.run([SERVER, "stop", folder], check=True)


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[Store]:
    """A database of its own."""
    name = f"specreason_{uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"'.encode())
        where = make_conninfo(postgres_server, dbname=name)
        with PostgresSaver.from_conn_string(where) as saver:
            saver.setup()
        yield Store("postgres", where)
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Both kinds in turn."""
    if request.param == "sqlite":
        return Store("sqlite", str(tmp_path / "runs.sqlite"))
    opened: Store = request.getfixturevalue("postgres")
    return opened


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> list[str]:
    """Lines for the end of the report."""
    return request.config.stash.setdefault(COUNTED, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Figures are worth more than a dot."""
    for line in config.stash.get(COUNTED, []):
        terminalreporter.write_line(line)

"""Libraries of the extra `bench`: only measuring needs them, so they are imported where they are used."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from specreason_graph.contract.errors import ConfigError


def extra(module: str, purpose: str) -> ModuleType:
    """A module of the extra `bench`, imported when it is needed.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0].replace("_", "-")
        raise ConfigError(f"{purpose} needs {package}: pip install 'specreason-graph[bench]'") from error

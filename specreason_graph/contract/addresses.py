"""What an address, a key and a header may be. What can't work is said without the value: it may be a key."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr
from yarl import URL

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _whole(given: str) -> str:
    if not given.startswith(("http://", "https://")):
        raise ValueError("an address must begin with http:// or https://, such as http://127.0.0.1:8000")
    url = _parsed(given)
    if url is None or not url.host or {"?", "#"} & set(given):
        raise ValueError("this is no address of a server, such as http://127.0.0.1:8000 or https://host/path")
    return given


def _root(given: str) -> str:
    return str(URL(given).with_user(None) if user_of(given) else given).rstrip("/").removesuffix("/v1")


def _beginning(given: str) -> str:
    if user_of(given) is not None:
        raise ValueError("images are fetched without a user and a password; leave them out of the address")
    if "*" in given:
        raise ValueError("hosts and paths are written out, one address for each; there is no *")
    return given.rstrip("/")


def _parsed(url: str) -> URL | None:
    if any(letter.isspace() or not letter.isprintable() for letter in url):
        return None
    try:
        return URL(url)
    except ValueError:  # a port or brackets that are none
        return None


def user_of(url: object) -> str | None:
    """User and password of an address, as basic authentication sends them."""
    parsed = _parsed(url) if isinstance(url, str) else None
    if parsed is None or (parsed.user is None and parsed.password is None):
        return None
    said = f"{parsed.user or ''}:{parsed.password or ''}"
    return f"Basic {b64encode(said.encode()).decode()}"


def is_sendable(value: str) -> bool:
    """Whether a header can hold a value as it is."""
    return value != "" and value == value.strip() and value.isascii() and value.isprintable()


def _sendable(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value().strip()  # a mounted file ends with a line break
    if not is_sendable(value):
        raise ValueError("a header can't hold it: it is empty, or has a line break or a letter that is not ASCII")
    return SecretStr(value)


def _named(headers: object) -> object:
    if isinstance(headers, Mapping) and not all(_HEADER.fullmatch(str(name)) for name in headers):
        raise ValueError("a header's name is letters, digits and dashes; its value stands apart from it")
    return headers


Address = Annotated[str, AfterValidator(_whole), AfterValidator(_root)]
"""Root of a server; a trailing `/v1` is dropped."""

ImageAddress = Annotated[str, AfterValidator(_whole), AfterValidator(_beginning)]
"""How addresses begin that images are fetched from."""

Secret = Annotated[SecretStr, AfterValidator(_sendable)]
"""What a header can hold; spaces around it are dropped."""

Headers = Annotated[dict[str, Secret], BeforeValidator(_named)]
"""By name."""

"""Who may ask: the gateway's keys by name, given one by one or in a file that is read again when it has changed."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from specreason_graph.contract.addresses import is_sendable
from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.small_files import small_text

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LOOK_AGAIN = 1.0  # seconds; a stat a request would be one too many

logger = logging.getLogger(__name__)


class Keys:
    """Keys by name, or a file with one `name: key` a line; only digests are kept.

    A name may have several keys in a file, so that one can replace another. The file is looked at again while requests
    come. One that can't be read then leaves the keys as they were.

    Raises:
        ConfigError: a key or a name can't be used, there is none, or the file can't be read; no message holds a key.
    """

    def __init__(self, source: Mapping[str, SecretStr] | Path) -> None:
        self._file = source if isinstance(source, Path) else None
        self._looked = time.monotonic()
        if isinstance(source, Path):
            self._seen, self._names = _version(source), _read(source)
        else:
            self._names = _digests([(name, key.get_secret_value()) for name, key in source.items()])

    @property
    def names(self) -> set[str]:
        """Of all keys, as they were read last."""
        return set(self._names.values())

    def name_of(self, key: str) -> str | None:
        """Whose key it is; None for nobody's. All are compared, in the same time for each."""
        self._look_again()
        digest = _digest(key.strip())
        found = [name for known, name in self._names.items() if secrets.compare_digest(known, digest)]
        return found[0] if found else None

    def _look_again(self) -> None:
        if self._file is None or time.monotonic() < self._looked + _LOOK_AGAIN:
            return
        self._looked = time.monotonic()
        if (version := _version(self._file)) == self._seen:
            return
        self._seen = version
        try:
            self._names = _read(self._file)
        except ConfigError as error:
            logger.error("the keys stay as they were: %s", error)
        else:
            logger.warning("the keys were read again: %d of %d names", len(self._names), len(self.names))


def _version(file: Path) -> object:
    """What differs when a file was written anew, or another stands in its place."""
    try:
        found = os.stat(file)
    except OSError as error:
        return error.errno
    return found.st_ctime_ns, found.st_mtime_ns, found.st_size, found.st_ino  # of rights, only the first tells


def _read(file: Path) -> dict[bytes, str]:
    try:
        lines = small_text(file).splitlines()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"gateway_keys: can't read {file} ({type(error).__name__})") from None
    keys = []
    for number, line in enumerate(lines, 1):
        name, colon, key = line.partition(":")
        if line.strip() and not line.lstrip().startswith("#"):
            if not colon:
                raise ConfigError(f"gateway_keys: line {number} of {file} is no `name: key`")
            keys.append((name.strip(), key))
    try:
        return _digests(keys)
    except ConfigError as error:
        raise ConfigError(f"gateway_keys: {file}: {error}") from None


def _digests(keys: list[tuple[str, str]]) -> dict[bytes, str]:
    names: dict[bytes, str] = {}
    for name, given in keys:
        key = given.strip()  # a file that is mounted as a secret ends with a newline
        if not _NAME.fullmatch(name):
            raise ConfigError(f"a key's name has letters, digits, `.`, `_` and `-`, not {name[:64]!r}")
        if not is_sendable(key):
            raise ConfigError(f"the key {name!r} is empty, or has a character that no header can hold: take ASCII")
        if names.setdefault(_digest(key), name) != name:
            raise ConfigError(f"the key {name!r} is also that of {names[_digest(key)]!r}: give each its own")
    if not names:
        raise ConfigError("there is no key; give one at least")
    return names


def _digest(key: str) -> bytes:
    """Of one length, so that comparing them tells nothing of the keys."""
    return hashlib.sha256(key.encode()).digest()

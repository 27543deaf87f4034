"""Prompts that only grow: a long one is held once and spelled as JSON once, however many requests begin with it.

A prompt of 16k ids takes a millisecond to write as JSON and a tenth of one to copy, and a judge sends many of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from threading import Lock
from typing import Any, overload

from specreason_graph.endpoint.image import Image

_HALVES = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
"""Where a text may have a surrogate, as an escape or in bytes."""

_BASE, _MODULUS = 1_000_003, (1 << 61) - 1  # of the fingerprint, a polynomial in the ids


@dataclass(slots=True)
class _Store:
    """Ids and their JSON, shared by every prompt that begins with them."""

    ids: list[int] = field(default_factory=list)
    spelled: bytearray = field(default_factory=bytearray)
    lock: Lock = field(default_factory=Lock)
    """Held while it grows: runs in threads of their own may begin with the same ids."""

    def add(self, tail: list[int]) -> None:
        self.ids += tail
        if tail:
            self.spelled += (b"," if self.spelled else b"") + _spell(tail)


class Ids(Sequence[int]):
    """Token ids that never change: the beginning of a store, and a few that are not in it.

    What is grown out of them has their images, too.

    Args:
        ids: of the prompt, or its beginning; each image has one placeholder in them.
        images: what is seen at the placeholders, in their order.
    """

    __slots__ = ("_bytes", "_length", "_mark", "_store", "_tail", "images", "unseen")

    def __init__(self, ids: Iterable[int] = (), images: Iterable[Image] = ()) -> None:
        self._store, self._tail = _Store(), list[int]()
        self._store.add(list(ids))
        self._length, self._bytes = len(self._store.ids), len(self._store.spelled)
        self.images = tuple(images)
        self.unseen = 0
        """Tokens that the images are beyond their placeholders, once a server has counted them."""
        seen = [int(image.uuid[:15], 16) for image in self.images]
        self._mark = _fingerprint(_fingerprint(0, seen), self._store.ids)

    @property
    def json(self) -> bytes:
        """As a JSON array."""
        parts = (bytes(self._store.spelled[: self._bytes]), _spell(self._tail))  # copied at once: the store may grow
        return b"[%b]" % b",".join(part for part in parts if part)

    @property
    def fingerprint(self) -> tuple[int, int]:
        """Length and a fingerprint: prompts that have the same hold the same ids and images."""
        return len(self), _fingerprint(self._mark, self._tail)

    def plus(self, tail: Sequence[int]) -> Ids:
        """These and some more, for one request."""
        more = self._view(self._store, self._length, self._bytes, self._mark)
        more._tail = [*self._tail, *tail]
        return more

    def grown(self, tail: Sequence[int]) -> Ids:
        """These and some more, to go on from: nothing is copied unless something else has grown out of these."""
        store, more = self._store, [*self._tail, *tail]
        mark = _fingerprint(self._mark, more)
        with store.lock:
            if len(store.ids) == self._length:
                store.add(more)
                return self._view(store, len(store.ids), len(store.spelled), mark)
        store = _Store(store.ids[: self._length], store.spelled[: self._bytes])
        store.add(more)
        return self._view(store, len(store.ids), len(store.spelled), mark)

    def counted(self, tokens: int) -> Ids:
        """The same ids, of which a server has read so many tokens."""
        same = self.plus(())
        same.unseen = tokens - len(self)
        return same

    def __len__(self) -> int:
        return self._length + len(self._tail)

    def __iter__(self) -> Iterator[int]:
        yield from islice(self._store.ids, self._length)
        yield from self._tail

    @overload
    def __getitem__(self, at: int) -> int: ...
    @overload
    def __getitem__(self, at: slice) -> list[int]: ...
    def __getitem__(self, at: int | slice) -> int | list[int]:
        if isinstance(at, slice):
            return list(self)[at]
        place = range(len(self))[at]
        return self._store.ids[place] if place < self._length else self._tail[place - self._length]

    def _view(self, store: _Store, length: int, size: int, mark: int) -> Ids:
        view = Ids.__new__(Ids)
        view._store, view._length, view._bytes, view._mark, view._tail = store, length, size, mark, []
        view.images, view.unseen = self.images, self.unseen
        return view


def images_of(prompt: Sequence[int]) -> tuple[Image, ...]:
    """What is seen in a prompt; plain lists of ids are text."""
    return prompt.images if isinstance(prompt, Ids) else ()


def size(prompt: Sequence[int]) -> int:
    """Tokens that a prompt has in a model's context: an image is more of them than its placeholder."""
    return len(prompt) + (prompt.unseen if isinstance(prompt, Ids) else 0)


def fingerprint_behind(before: tuple[int, int], ids: Sequence[int]) -> tuple[int, int]:
    """The fingerprint of what had this one, with some more ids behind it."""
    return before[0] + len(ids), _fingerprint(before[1], ids)


def encoded(body: Mapping[str, Any]) -> bytes:
    """A request's body as JSON, with the ids in it as they were spelled before."""
    return b"{%b}" % b",".join(b"%b:%b" % (_dump(name), _value(value)) for name, value in body.items())


def _value(value: Any) -> bytes:
    if isinstance(value, Ids):
        return value.json
    if isinstance(value, list) and value and all(isinstance(one, Ids) for one in value):
        return b"[%b]" % b",".join(one.json for one in value)
    return _dump(value)


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _spell(ids: list[int]) -> bytes:
    return _dump(ids)[1:-1]


def _fingerprint(before: int, ids: Sequence[int]) -> int:
    for token in ids:
        before = (before * _BASE + token + 1) % _MODULUS
    return before


def decoded(raw: bytes) -> Any:
    """A server's JSON; half a character in it is U+FFFD, as in texts of bytes, since nobody else would take the text.

    Raises:
        ValueError: it is none.
    """
    document = json.loads(raw)
    if not _HALVES.search(raw):
        return document
    spelled = json.dumps(document, ensure_ascii=False).encode("utf-16", "surrogatepass")
    return json.loads(spelled.decode("utf-16", "replace"))

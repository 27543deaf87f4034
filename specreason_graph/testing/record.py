"""What a scripted server remembers of the requests it got."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Record:
    """One request, and what became of it."""

    path: str
    body: dict[str, Any]
    size: int
    """Bytes of the body as it was sent."""
    began: float
    """When its headers had come, in seconds since the epoch."""
    ended: float | None = None
    """When its answer had been sent or given up; None while it is being answered."""
    prompts: list[list[int]] = field(default_factory=list)
    """Token ids of each prompt of a completions request."""
    session: str | None = None
    """The header `X-Session-ID`."""
    tokens: int = 0
    """Tokens generated, over all prompts."""
    cached_tokens: int = 0
    """Prompt tokens found in the prefix cache, over all prompts."""
    complete: bool = False
    """Whether the answer was generated to its end."""
    aborted: bool = False
    """Whether the client closed the connection before that."""

    @property
    def seed(self) -> int | None:
        """The seed that was sent."""
        return self.body.get("seed")

"""What the graph asks of a model server, whatever its dialect.

Token ids are the truth; text is for showing, and for a model with another tokenizer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

ChatMessage = Mapping[str, str]
"""`{"role": …, "content": …}`."""

Ending = Literal["boundary", "close", "end_of_turn", "length"]
"""Why a generation stopped: step boundary, the marker that closes reasoning, end of turn, or the token cap."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a server says of its model, asked once."""

    name: str
    context: int
    """Tokens of prompt and output together."""


@dataclass(frozen=True, slots=True)
class Marker:
    """The marker that closes reasoning, such as `</think>`, and its one token."""

    text: str
    id: int


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation put through the server's own chat template."""

    text: str
    ids: list[int]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Text as token ids; `widths` are the bytes of text each id stands for."""

    ids: list[int]
    widths: list[int]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn."""

    temperature: float
    top_p: float
    seed: int


@dataclass(frozen=True, slots=True)
class Form:
    """What an answer has to be like."""

    schema: Mapping[str, Any] | None = None
    """JSON schema that it has to satisfy."""
    stop: Sequence[str] = ()
    """Texts that end it, and are dropped; four at most."""


FREE = Form()
"""As the model likes."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request; `cached_tokens` is None where the server does not say."""

    prompt_tokens: int
    cached_tokens: int | None
    completion_tokens: int

    def __add__(self, other: Usage) -> Usage:
        known = self.cached_tokens is not None and other.cached_tokens is not None
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            (self.cached_tokens or 0) + (other.cached_tokens or 0) if known else None,
            self.completion_tokens + other.completion_tokens,
        )


@dataclass(frozen=True, slots=True)
class End:
    """The last thing a stream says."""

    why: Ending
    usage: Usage
    closing: tuple[int, float] | None = None
    """The id that ended the turn or the reasoning, and its log-probability; never part of the text."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some new tokens: ids that end inside a character come with no text, and the text with the id that ends it."""

    text: str = ""
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    """Natural log of each id's probability, over the whole vocabulary and before sampling."""
    end: End | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """The distribution of the next token behind a prompt: the likeliest id, and the top log-probabilities."""

    likeliest: int
    logprobs: dict[int, float]


@dataclass(frozen=True, slots=True)
class Readings:
    """One `Reading` a prompt, in order, and what they cost together."""

    items: list[Reading]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Log-probability of each token of a prompt given those before it; None where it was not computed anew."""

    logprobs: list[float | None]
    usage: Usage


class Endpoint(Protocol):
    """A model server. Every method raises a subclass of `EndpointError` when it can't do its part."""

    @property
    def name(self) -> str:
        """Role and address, for messages."""

    async def pinned(self, session: str) -> Endpoint:
        """A view of it for one run: requests name the session, and what is known and connected is shared."""

    async def card(self) -> ModelCard:
        """The model's name and context length (looked up once)."""

    async def render(self, messages: Sequence[ChatMessage], template: Mapping[str, Any]) -> Rendered:
        """The conversation with the opening of the assistant's turn behind it; `template` are its variables."""

    async def encode(self, text: str, *, control: bool = False) -> Encoded:
        """Token ids of a text alone, without BOS; control tokens are read as such only with `control`."""

    async def decode(self, ids: Sequence[int]) -> str:
        """The text of some ids of a generation, control tokens left out."""

    @property
    def runs_on(self) -> bool:
        """Whether a generation may be cut anywhere and gone on from elsewhere at little cost: what overlap needs."""

    def generate(
        self,
        prompt: Sequence[int],
        *,
        max_tokens: int,
        sampling: Sampling,
        boundary: str | None = None,
        close: Marker | None = None,
        form: Form = FREE,
    ) -> AsyncGenerator[Chunk, None]:
        """Continue `prompt` up to a boundary (kept in the text), `close` or end of turn (both dropped).

        Without a boundary, a stop of the `form` ends it as one would, but is dropped.

        The last chunk, and only that one, carries an `End`. Closing the iterator stops the server.
        """

    async def read(self, prompts: Sequence[Sequence[int]], *, top: int = 20) -> Readings:
        """Next-token log-probabilities behind each prompt, raw and over the whole vocabulary, in one request."""

    async def likelihood(self, prompt: Sequence[int]) -> Likelihood | None:
        """Log-probability of each token of one prompt that was not in the prefix cache.

        None unless configured, and where the server can't tell this time: `read` can.
        """

    async def aclose(self) -> None:
        """Close the connections."""

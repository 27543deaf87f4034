"""What the graph asks of a model server, whatever its dialect.

Token ids are the truth; text is for showing, and for a model with another tokenizer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from specreason_graph.endpoint.image import Sight

ChatMessage = Mapping[str, Any]
"""`role` and `content`, and a `name` where it has one; of the assistant `reasoning` and `tool_calls` (OpenAI's shape,
arguments as JSON text); of a tool's result its `tool_call_id`."""

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
class Encoded:
    """Text as token ids, and what each of them spells: joined, the text."""

    ids: list[int]
    texts: list[str]
    """Empty for an id that ends inside a character; the id that completes it has all of it."""


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
    """Texts that end it; four at most."""
    choices: Sequence[str] = ()
    """It has to be one of these texts.

    Raises:
        ValueError: a form has both a schema and choices.
    """

    def __post_init__(self) -> None:
        if self.schema is not None and self.choices:
            raise ValueError("an answer has a schema or choices, not both")


FREE = Form()
"""As the model likes."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request; `cached_tokens` is None where the server does not say."""

    prompt_tokens: int = 0
    cached_tokens: int | None = 0
    completion_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        known = self.cached_tokens is not None and other.cached_tokens is not None
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            (self.cached_tokens or 0) + (other.cached_tokens or 0) if known else None,
            self.completion_tokens + other.completion_tokens,
        )


class Token(NamedTuple):
    """One token of a generation."""

    id: int
    logprob: float
    """Natural log of its probability, over the whole vocabulary and before sampling."""
    text: str
    """What it spells; empty for an id that ends inside a character, and the id that completes it has all of it."""


@dataclass(frozen=True, slots=True)
class End:
    """The last thing a generation says."""

    why: Ending
    usage: Usage
    closing: tuple[int, float] | None = None
    """The id that ended the turn or the reasoning, and its log-probability; never one of the tokens."""


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
    """The distribution at each token of a prompt given those before it: that token's and the likeliest two.

    None where it was not computed anew.
    """

    readings: list[Reading | None]
    usage: Usage


def boundaries(boundary: str) -> list[str]:
    """The texts that end a step: with `\\n` at a line's end, or `\\r\\n`, as a draft may write that was taught so."""
    return list(dict.fromkeys([boundary, boundary.replace("\n", "\r\n").removeprefix("\r")]))


class Endpoint(Protocol):
    """A model server. Every method raises a subclass of `EndpointError` when it can't do its part."""

    @property
    def name(self) -> str:
        """Role and address, for messages."""

    def pinned(self, session: str) -> Endpoint:
        """A view of it for one run: requests name the session, and what is known and connected is shared."""

    async def card(self) -> ModelCard:
        """The model's name and context length (looked up once)."""

    async def render(
        self, messages: Sequence[ChatMessage], template: Mapping[str, Any], tools: Sequence[Mapping[str, Any]] = ()
    ) -> list[int]:
        """Ids of the conversation with the opening of the assistant's turn behind it.

        Args:
            messages: the conversation.
            template: variables of the chat template.
            tools: what the model is told of them, in OpenAI's shape.
        """

    async def sight(self) -> Sight:
        """Whether prompts may hold images (`Ids.images`), and what stands for one in their ids (looked up once)."""

    async def look(self, prompt: Sequence[int]) -> Usage:
        """Have the server read a prompt with images; what it counts says how many tokens they are.

        It keeps each image, and later prompts with it are sent without the bytes.

        Raises:
            ConfigError: the server was started without what this needs.
        """

    async def encode(self, text: str, *, control: bool = False) -> Encoded:
        """Token ids of a text alone, without BOS; control tokens are read as such only with `control`."""

    async def decode(self, ids: Sequence[int]) -> str:
        """The text of some ids, control tokens spelled."""

    @property
    def overlaps(self) -> bool:
        """Whether a generation beside another one, stopped anywhere and gone on from elsewhere, costs little."""

    def generate(
        self,
        prompt: Sequence[int],
        *,
        max_tokens: int,
        sampling: Sampling,
        boundary: str | None = None,
        close: Marker | None = None,
        form: Form = FREE,
    ) -> AsyncGenerator[Token | End, None]:
        """Continue `prompt`, token by token, up to a boundary or a stop of the `form`, `close` or end of turn.

        The token that completes a boundary or a stop is the last one; servers may give some more behind it. `close`
        and the end of turn are not given: the one `End` that comes last has them. Closing the iterator stops the
        server.
        """

    async def read(self, prompts: Sequence[Sequence[int]], *, top: int = 20) -> Readings:
        """Next-token log-probabilities behind each prompt, raw and over the whole vocabulary, in one request."""

    async def likelihood(self, prompt: Sequence[int]) -> Likelihood | None:
        """How likely each token of one prompt is that was not in the prefix cache.

        None unless configured, and where the server can't tell this time: `read` can.
        """

    async def aclose(self) -> None:
        """Close the connections."""

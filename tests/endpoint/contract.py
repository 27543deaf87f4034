"""The engines that the contract is run on, each with what a test may expect of it."""

from __future__ import annotations

import os
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.endpoint import Endpoint, connect
from specreason_graph.endpoint.protocol import FREE, End, Form, Marker, Sampling, Token
from specreason_graph.testing import Pace, Script, ScriptedServer
from specreason_graph.testing.template import TemplateName
from specreason_graph.testing.tokenizer import TokenizerName

MATHS = (
    "A farmer has 3 cows and 4 hens. How many legs are there?\n\n"
    "Think step by step. Put a blank line between steps. Put the final answer within \\boxed{}."
)
UNICODE = "Repeat this line and nothing else: 你好, naïve café 🙂🙂"
SHORT = "Answer with one word and nothing else: which animal says moo?"

GREEDY = Sampling(temperature=0.0, top_p=1.0, seed=0)

_STEPS = [
    "There are 3 cows with 4 legs each, so 3 * 4 = 12 legs:",
    "There are 4 hens with 2 legs each, so 4 * 2 = 8 legs.",
    "In words, 你好 🙂, that is naïve but right.",
    "The total is 12 + 8 = 20 legs.",
]


@dataclass(frozen=True)
class Engine:
    """A running engine behind its client."""

    endpoint: Endpoint
    config: EndpointConfig
    tolerance: float = 1e-6
    """By how much two log-probabilities of one token at one place may differ (nats)."""
    block: int = 16
    """Tokens of a block of its prefix cache: less than one may have to be computed again."""
    close: str | None = None
    """The marker that closes reasoning, for thinking models."""
    settled: Callable[[], Awaitable[None]] | None = None
    """Waits until the server has stopped generating, where it can be asked."""


Opened = Callable[[], AbstractAsyncContextManager[Engine]]


def scripted(
    tokenizer: TokenizerName,
    template: TemplateName,
    *,
    scale_out: bool = False,
    sees: bool = False,
    tokens_per_event: int = 1,
) -> Opened:
    """An engine that says a script, through the vLLM dialect; with 0, events of random lengths.

    One that sees is otherwise sure of its words with each image.
    """

    @asynccontextmanager
    async def opened() -> AsyncIterator[Engine]:
        server = ScriptedServer(
            Script(_STEPS, answer="It is \\boxed{20}.", confidence=_wavering, asked=_looking if sees else None),
            tokenizer=tokenizer,
            template=template,
            context=1024,
            api_key="right",
            pace=Pace(seconds_per_token=0.0002),
            scale_out=scale_out,
            sees=sees,
            tokens_per_event=tokens_per_event,
        )
        async with server, _connected(server.config) as endpoint:
            close = None if template == "instruct" else "</think>"
            yield Engine(endpoint, server.config, close=close, settled=server.idle)

    return opened


@contextmanager
def llamacpp() -> Iterator[Opened]:
    """A small real model under llama.cpp, started once."""
    from specreason_graph.models.embedded import embedded_pair
    from specreason_graph.models.weights import pull

    with embedded_pair(pull("cross-tokenizer")) as pair:

        @asynccontextmanager
        async def opened() -> AsyncIterator[Engine]:
            async with _connected(pair.base) as endpoint:
                yield Engine(endpoint, pair.base, tolerance=0.1, block=1)

        yield opened


@contextmanager
def seeing(config: EndpointConfig) -> Iterator[Opened]:
    """A real vLLM server of a small model that sees, in float32."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Engine]:
        async with _connected(config) as endpoint:
            yield Engine(endpoint, config, tolerance=1e-3, block=128)

    yield opened


@contextmanager
def vllm(config: EndpointConfig) -> Iterator[Opened]:
    """A real vLLM server: that of `SPECREASON_CONTRACT_URL` (and `_KEY`), such as one on a GPU, else `config`."""
    if url := os.environ.get("SPECREASON_CONTRACT_URL"):
        key = os.environ.get("SPECREASON_CONTRACT_KEY")
        config = config.model_copy(
            update={"base_url": url, "model": None, "api_key": None if key is None else SecretStr(key)}
        )

    @asynccontextmanager
    async def opened() -> AsyncIterator[Engine]:
        async with _connected(config) as endpoint:
            # Logits of bfloat16 weights are 0.125 apart from 16 on; blocks are the CPU build's.
            yield Engine(endpoint, config, tolerance=0.25, block=128)

    yield opened


def _wavering(transcript: str, token: str) -> float:
    return 0.5 + len(token) / 100 + (len(transcript) % 7) / 50


def _looking(question: str) -> Script:
    def confidence(transcript: str, token: str) -> float:
        return _wavering(transcript, token) - zlib.crc32(question.encode()) % 1000 / 10_000

    return Script(_STEPS, answer="It is \\boxed{20}.", confidence=confidence)


@asynccontextmanager
async def _connected(config: EndpointConfig) -> AsyncIterator[Endpoint]:
    endpoint = connect("base", config)
    try:
        yield endpoint
    finally:
        await endpoint.aclose()


@dataclass(frozen=True)
class Generated:
    """A whole generation."""

    tokens: list[Token]
    end: End

    @property
    def text(self) -> str:
        """What the tokens are said to spell."""
        return "".join(token.text for token in self.tokens)

    @property
    def ids(self) -> list[int]:
        """Of each token."""
        return [token.id for token in self.tokens]

    @property
    def logprobs(self) -> list[float]:
        """Of each token."""
        return [token.logprob for token in self.tokens]


async def collected(
    endpoint: Endpoint,
    prompt: Sequence[int],
    *,
    max_tokens: int = 200,
    boundary: str | None = None,
    close: Marker | None = None,
    form: Form = FREE,
    sampling: Sampling = GREEDY,
) -> Generated:
    """All that a generation says, its order checked: tokens, and last the one end."""
    said: list[Token | End] = []
    stream = endpoint.generate(
        prompt, max_tokens=max_tokens, sampling=sampling, boundary=boundary, close=close, form=form
    )
    async with aclosing(stream):
        async for more in stream:
            said.append(more)
    *tokens, end = said
    assert isinstance(end, End)
    whole = [token for token in tokens if isinstance(token, Token)]
    assert whole == tokens
    return Generated(whole, end)


async def asked(engine: Engine, question: str = MATHS) -> list[int]:
    """A question with the assistant's turn open behind it."""
    return await engine.endpoint.render([{"role": "user", "content": question}], {})


async def control(engine: Engine, text: str) -> int:
    """The one id of a control token."""
    (token,) = (await engine.endpoint.encode(text, control=True)).ids
    return token

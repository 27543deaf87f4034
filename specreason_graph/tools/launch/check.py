"""Whether a server answers what the loop needs: log-probabilities, and what its prefix cache held."""

from __future__ import annotations

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.errors import EndpointError
from specreason_graph.endpoint import connect

_TOKENS = 300  # more than two of the largest usual blocks: 16 tokens on a GPU, 128 on a CPU
_TEXT = "One, two, three, four, five, six, seven, eight, nine, ten. " * 40
_TOP = 20  # log-probabilities a token, as the judge asks for


async def check(role: str, config: EndpointConfig) -> None:
    """Have one prompt read twice.

    Raises:
        EndpointError: the server can't do something that is needed; the message names the flag.
    """
    endpoint = connect(role, config)
    try:
        card = await endpoint.card()
        prompt = (await endpoint.encode(_TEXT)).ids[: min(_TOKENS, card.context // 2)]
        await endpoint.read([prompt], top=_TOP)
        again = await endpoint.read([prompt], top=_TOP)
    finally:
        await endpoint.aclose()
    if len(again.items[0].logprobs) < _TOP:
        raise EndpointError(f"{endpoint.name} gives fewer than {_TOP} log-probabilities: give it --max-logprobs {_TOP}")
    if again.usage.cached_tokens is None:
        raise EndpointError(
            f"{endpoint.name} does not say how much of a prompt was cached: give it --enable-prompt-tokens-details"
        )
    if again.usage.cached_tokens == 0:
        raise EndpointError(
            f"{endpoint.name} reads the same {len(prompt)} tokens anew: give it --enable-prefix-caching, and a model "
            "of full attention (the cache blocks of others are longer than a step)"
        )

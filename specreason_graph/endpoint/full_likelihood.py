"""Every token's likelihood from one prompt: vLLM's `/inference/v1/generate` with `prompt_logprobs`.

An option, for versions that the contract test has proven: the request reads from the prefix cache, which the public
`prompt_logprobs` does not, and an untried version may answer it with wrong numbers, or die of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from specreason_graph.contract.errors import ConfigError, EndpointRefused
from specreason_graph.endpoint.fields import number, optional, required
from specreason_graph.endpoint.http import Http
from specreason_graph.endpoint.ids import images_of
from specreason_graph.endpoint.inference import PATH, Shown
from specreason_graph.endpoint.protocol import Likelihood, Reading, Usage

PROVEN = ("0.32.0",)
"""vLLM versions whose values equal `prompt_logprobs` (tests/endpoint/test_full_likelihood.py)."""

_LIKELIEST = 2  # one of them is not the prompt's own token, of which there is a value in any case
_GARBAGE = "not JSON compliant"  # vLLM's refusal where an uncomputed row happened to be infinite or no number


@dataclass(slots=True)
class FullLikelihood:
    """Reads whole prompts of one server, once its version is known to be a proven one."""

    shown: Shown
    proven: bool = False

    async def read(self, http: Http, model: str, prompt: Sequence[int]) -> Likelihood | None:
        """How likely each token of the prompt is that had to be computed.

        None where the server can't tell this time: the rows of the cached part are whatever its memory held, and
        where that can't be written as JSON it refuses the whole answer.

        Raises:
            ConfigError: the server's version is not a proven one, or it was started without what this needs.
        """
        await self._check_version(http)
        images = images_of(prompt)
        body = {
            "model": model,
            "token_ids": prompt,
            "sampling_params": {
                "max_tokens": 1,
                "temperature": 0,
                "prompt_logprobs": _LIKELIEST,
                "skip_reading_prefix_cache": False,
                "detokenize": False,  # without it the engine dies of the rows that it did not compute
            },
        }
        try:
            if images:
                answer = await self.shown.post(http, {**body, "return_token_ids": True}, images)
            else:
                answer = await http.post(PATH, body)
        except EndpointRefused as refusal:
            if _GARBAGE in str(refusal):
                return None
            if refusal.status not in (403, 404):
                raise
            raise ConfigError(
                f"{http.name} does not serve {PATH}: start it with --enable-scale-out, or turn full_likelihood off"
            ) from None
        usage = required(http, PATH, answer, "usage", dict)
        details = optional(http, PATH, usage, "prompt_tokens_details", dict)
        cached = optional(http, PATH, details or {}, "cached_tokens", int)
        if cached is None:
            raise ConfigError(
                f"{http.name} does not count cached tokens, so nobody can say which rows it computed: start it "
                "with --enable-prompt-tokens-details, or turn full_likelihood off"
            )
        rows = required(http, PATH, answer, "prompt_logprobs", list)
        expanded = required(http, PATH, answer, "prompt_token_ids", list) if images else prompt
        if len(rows) != len(expanded):
            raise http.malformed(f"{PATH}: `prompt_logprobs` has {len(rows)} rows for {len(expanded)} tokens")
        # The row at `cached` is the output of a token that was not computed, and so are those before it.
        known = min(len(rows) - cached - 1, _same_at_the_end(expanded, prompt))
        readings: list[Reading | None] = [None] * (len(prompt) - known)
        behind = zip(rows[len(rows) - known :], prompt[len(prompt) - known :], strict=True)
        readings += [_reading(http, row, token) for row, token in behind]
        read = required(http, PATH, usage, "prompt_tokens", int)
        return Likelihood(readings, Usage(read, cached, optional(http, PATH, usage, "completion_tokens", int) or 0))

    async def _check_version(self, http: Http) -> None:
        if self.proven:
            return
        answer = await http.get("/version")
        version = required(http, "/version", answer, "version", str)
        if version not in PROVEN:
            raise ConfigError(
                f"{http.name} is vLLM {version}, and full_likelihood is proven on {', '.join(PROVEN)} only: turn "
                "it off (spots give the same values, one prompt each)"
            )
        self.proven = True


def _same_at_the_end(expanded: Sequence[object], prompt: Sequence[int]) -> int:
    """How many last tokens are the same; behind the last image, all are."""
    pairs = zip(reversed(expanded), reversed(prompt), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _reading(http: Http, row: object, token: int) -> Reading:
    if not isinstance(row, dict) or str(token) not in row:
        raise http.malformed(f"{PATH}: `prompt_logprobs` has no row for a token of the prompt")
    try:
        logprobs = {int(one): number(http, entry["logprob"], "prompt_logprobs") for one, entry in row.items()}
    except (KeyError, TypeError, ValueError):
        raise http.malformed(f"{PATH}: `prompt_logprobs` has a row of another shape") from None
    return Reading(max(logprobs, key=logprobs.__getitem__), logprobs)

"""One server: does it answer, with which model, and does it give what a run asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from specreason_graph.contract.config import Dialect
from specreason_graph.contract.errors import (
    UNAUTHORIZED,
    ConfigError,
    EndpointError,
    EndpointRefused,
    MalformedResponse,
)
from specreason_graph.contract.settings import Role
from specreason_graph.endpoint.http import Http
from specreason_graph.loop.bounds import LEAST_STEP
from specreason_graph.tools.doctor.case import Case
from specreason_graph.tools.doctor.check import Finding

_LISTED = 20
"""Log-probabilities a token that base is asked for: labels and likelihoods are looked up among them."""
_MARGIN = LEAST_STEP + 16
"""Tokens that a run keeps for a first step and for what asks for the answer."""
_ABOUT: Mapping[Dialect, tuple[str, str, str]] = {
    "vllm": ("vLLM", "/version", "version"),
    "llamacpp": ("llama.cpp", "/props", "build_info"),
}
"""What a server of a dialect is, and which field of which document says its version."""


async def server(case: Case, role: Role) -> Finding:
    """Whether anything answers, and what it is; a model that is not served is the next check's matter."""
    endpoint = case.pair.endpoint(role)
    try:
        with suppress(ConfigError):
            await endpoint.card()
    except EndpointRefused as error:
        if error.status in UNAUTHORIZED:
            return Finding("wrong", str(error), "set SPECREASON_API_KEY")
        raise
    except MalformedResponse as error:
        return Finding("wrong", str(error), "--dialect, or SPECREASON_DIALECT: vllm or llamacpp")
    return Finding("ok", f"{endpoint.name} is {await _version(case, role)}")


async def model(case: Case, role: Role) -> Finding:
    """Whether the wanted model is served."""
    return Finding("ok", (await case.pair.endpoint(role).card()).name)


async def context(case: Case, role: Role) -> Finding:
    """Whether prompt, reasoning and answer fit together."""
    length, prompt = (await case.pair.endpoint(role).card()).context, len(await case.prompt(role))
    answer = case.settings.answer_budget if role == case.settings.answer_by else 0
    wanted, room = case.settings.reasoning_budget, length - prompt - answer - _MARGIN
    parts = f"prompt {prompt}, answer {answer}" if answer else f"prompt {prompt}"
    if room >= wanted:
        return Finding("ok", f"{length} tokens hold {parts} and reasoning {wanted}")
    longer = f"serve it with a context of {prompt + wanted + answer + _MARGIN} (vLLM: --max-model-len)"
    if room <= 0:
        return Finding("wrong", f"{length} tokens: {parts} leave no room", f"{longer}, or lower --answer-budget")
    found = f"{length} tokens, {parts}: reasoning of {wanted} would be cut at about {room}"
    return Finding("warn", found, f"--reasoning-budget {room}, or {longer}")


async def logprobs(case: Case, role: Role) -> Finding:
    """Whether tokens come with their log-probability."""
    await case.pair.endpoint(role).read([await case.prompt(role)], top=1)
    return Finding("ok", "each token's own")


async def top_logprobs(case: Case, role: Role) -> Finding:
    """Whether the likeliest alternatives come with theirs."""
    readings = await case.pair.endpoint(role).read([await case.prompt(role)], top=_LISTED)
    listed = len(readings.items[0].logprobs)
    if listed < _LISTED:
        return Finding("wrong", f"{listed} of {_LISTED} that were asked for", f"vLLM: --max-logprobs {_LISTED}")
    return Finding("ok", f"{_LISTED} a token")


async def cached_counts(case: Case, role: Role) -> Finding:
    """Whether usage tells of cached tokens."""
    readings = await case.pair.endpoint(role).read([await case.prompt(role)], top=1)
    if readings.usage.cached_tokens is None:
        return Finding("warn", "not told, so reuse can't be seen", "vLLM: --enable-prompt-tokens-details")
    return Finding("ok", "told")


async def images(case: Case, role: Role) -> Finding:
    """Whether a question may hold images; most pairs are of text, and nothing is wrong with that."""
    endpoint = case.pair.endpoint(role)
    sight = await endpoint.sight()
    return Finding("ok", "taken" if sight.place else f"none: {sight.why_not.removeprefix(endpoint.name).strip()}")


async def _version(case: Case, role: Role) -> str:
    config = case.endpoint(role)
    kind, path, key = _ABOUT[config.dialect]
    http = Http(role, config)
    try:
        return f"{kind} {(await http.get(path))[key]}"
    except (EndpointError, KeyError, TypeError):  # whatever it is, it answered before
        return f"{kind}, version not told"
    finally:
        await http.aclose()

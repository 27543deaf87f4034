"""From a plan to the two commands that serve it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from specreason_graph.contract.config import EndpointConfig, PairConfig
from specreason_graph.contract.settings import Role
from specreason_graph.tools.launch.plan import Decode, LaunchPlan

KEY_VARIABLE = "VLLM_API_KEY"
"""vLLM reads its key from here; on the command line, everybody on the host could read it."""

_DECODE_TOKENS: Mapping[Decode, int] = {"draft_model": 5, "ngram": 5, "eagle3": 3, "mtp": 1}
_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # a server that listens at all addresses is reached at this one


@dataclass(frozen=True, slots=True)
class Command:
    """How one server is started."""

    role: Role
    model: str
    """Served model name."""
    url: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    """Variables beside those that are there already; the key is not among them."""

    def __str__(self) -> str:
        env = "".join(f"{name}={shlex.quote(value)} " for name, value in self.env.items())
        return f'{KEY_VARIABLE}="$SPECREASON_API_KEY" {env}{shlex.join(self.argv)}'


def commands(plan: LaunchPlan) -> tuple[Command, Command]:
    """The base server's command and the draft server's."""
    base_share, draft_share = plan.gpu_memory
    decode = _speculative_config(plan)
    return (
        _command(
            plan,
            "base",
            plan.base,
            name=plan.base_name,
            port=plan.base_port,
            devices=plan.base_devices,
            share=base_share,
            size=plan.base_tensor_parallel,
            more=[*(["--speculative-config", json.dumps(decode)] if decode else []), *plan.base_args],
        ),
        _command(
            plan,
            "draft",
            plan.draft,
            name=plan.draft_name,
            port=plan.draft_port,
            devices=plan.draft_devices,
            share=draft_share,
            size=plan.draft_tensor_parallel,
            more=plan.draft_args,
        ),
    )


def pair_config(plan: LaunchPlan) -> PairConfig:
    """How clients reach the two servers."""
    base, draft = (
        EndpointConfig(base_url=command.url, model=command.model, api_key=plan.api_key) for command in commands(plan)
    )
    return PairConfig(base=base, draft=draft, preset=plan.preset)


def _command(
    plan: LaunchPlan,
    role: Role,
    model: str,
    *,
    name: str | None,
    port: int,
    devices: str | None,
    share: float | None,
    size: int,
    more: list[str],
) -> Command:
    argv = [plan.python, "-m", "vllm.entrypoints.openai.api_server", "--model", model]
    argv += ["--served-model-name", name] if name else []
    argv += ["--host", plan.host, "--port", str(port), "--enable-prefix-caching", "--enable-prompt-tokens-details"]
    argv += ["--max-model-len", str(plan.max_model_len)] if plan.max_model_len else []
    argv += ["--max-logprobs", str(plan.max_logprobs)] if plan.max_logprobs else []
    argv += ["--tensor-parallel-size", str(size)] if size > 1 else []
    env = {}
    if plan.device == "cpu":
        argv += ["--dtype", "bfloat16", "--enforce-eager"]
        env["VLLM_CPU_KVCACHE_SPACE"] = str(plan.cpu_kv_cache)
    elif share:
        argv += ["--gpu-memory-utilization", f"{share:g}"]
    if devices:
        env["CUDA_VISIBLE_DEVICES"] = devices
    return Command(role, name or model, _url(plan.host, port), (*argv, *more), env)


def _speculative_config(plan: LaunchPlan) -> dict[str, Any] | None:
    if plan.decode is None:
        return None
    config: dict[str, Any] = {"method": plan.decode}
    if plan.decode == "draft_model":
        config["model"] = plan.decode_model or plan.draft
    elif plan.decode == "eagle3":
        config["model"] = plan.decode_model
    config["num_speculative_tokens"] = plan.decode_tokens or _DECODE_TOKENS[plan.decode]
    if plan.decode == "ngram":
        config["prompt_lookup_max"] = 4
    elif plan.decode == "draft_model" and plan.heterogeneous_vocab:
        config["use_heterogeneous_vocab"] = True
    return config


def _url(host: str, port: int) -> str:
    host = _HERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

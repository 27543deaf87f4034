"""What is asked for becomes the right two commands, or one clear error."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from specreason_graph.contract.errors import ConfigError
from specreason_graph.judging.catalog import builtin
from specreason_graph.tools.launch import LaunchPlan, load_plan
from specreason_graph.tools.launch.command import commands, pair_config
from specreason_graph.tools.launch.plan import known_pairs

PAIR = {"base": "B", "draft": "D", "python": "py"}
SERVE = "-m vllm.entrypoints.openai.api_server"
FLAGS = "--enable-prefix-caching --enable-prompt-tokens-details"


def served(**changes: Any) -> tuple[str, str]:
    base, draft = commands(LaunchPlan(**{**PAIR, **changes}))
    key = 'VLLM_API_KEY="$SPECREASON_API_KEY" '
    assert str(base).startswith(key)
    return str(base).removeprefix(key), str(draft).removeprefix(key)


def test_on_one_card_both_get_a_share_of_its_memory() -> None:
    assert served() == (
        f"py {SERVE} --model B --host 127.0.0.1 --port 8000 {FLAGS} --gpu-memory-utilization 0.7",
        f"py {SERVE} --model D --host 127.0.0.1 --port 8001 {FLAGS} --gpu-memory-utilization 0.2",
    )


def test_on_cards_of_their_own_vllm_decides_about_memory() -> None:
    assert served(base_devices="0,1", draft_devices="2", base_tensor_parallel=2) == (
        f"CUDA_VISIBLE_DEVICES=0,1 py {SERVE} --model B --host 127.0.0.1 --port 8000 {FLAGS} --tensor-parallel-size 2",
        f"CUDA_VISIBLE_DEVICES=2 py {SERVE} --model D --host 127.0.0.1 --port 8001 {FLAGS}",
    )


def test_on_a_cpu_flags_of_gpus_are_left_out() -> None:
    more = "--max-model-len 4096 --max-logprobs 30 --dtype bfloat16 --enforce-eager"
    base, draft = served(
        device="cpu", cpu_kv_cache=2, max_model_len=4096, max_logprobs=30, base_name="b", draft_args=["--seed", "1"]
    )
    assert base == (
        f"VLLM_CPU_KVCACHE_SPACE=2 py {SERVE} --model B --served-model-name b --host 127.0.0.1 --port 8000 "
        f"{FLAGS} {more}"
    )
    assert draft.endswith(f"--port 8001 {FLAGS} {more} --seed 1")


@pytest.mark.parametrize(
    ("asked", "config"),
    [
        ({"decode": "draft_model"}, '{"method": "draft_model", "model": "D", "num_speculative_tokens": 5}'),
        (
            {"decode": "draft_model", "decode_model": "E", "decode_tokens": 3, "heterogeneous_vocab": True},
            '{"method": "draft_model", "model": "E", "num_speculative_tokens": 3, "use_heterogeneous_vocab": true}',
        ),
        ({"decode": "ngram"}, '{"method": "ngram", "num_speculative_tokens": 5, "prompt_lookup_max": 4}'),
        (
            {"decode": "eagle3", "decode_model": "H"},
            '{"method": "eagle3", "model": "H", "num_speculative_tokens": 3}',
        ),
        ({"decode": "mtp"}, '{"method": "mtp", "num_speculative_tokens": 1}'),
    ],
)
def test_token_level_decoding_is_the_base_servers(asked: dict[str, Any], config: str) -> None:
    base, draft = served(**asked)
    assert shlex.split(base)[-2:] == ["--speculative-config", config]
    assert "--speculative-config" not in draft


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"base_port": 8001}, r"base_port and draft_port are both 8001"),
        ({"base_gpu_memory": 0.9}, r"base_gpu_memory 0.9 and draft_gpu_memory 0.2 are more than one card"),
        ({"decode": "eagle3"}, r"name it in decode_model"),
        ({"decode": "ngram", "decode_model": "H"}, r"decode ngram takes no decode_model"),
        ({"decode_tokens": 4}, r"go with decode"),
        ({"device": "cpu", "base_devices": "0"}, r"leave them out with device cpu"),
        ({"max_logprobs": 5}, r"max_logprobs: .* 20"),
        ({"base_prt": 1}, r"base_prt: there is no such field; did you mean base_port"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_by_the_name_of_its_field(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_plan(changes={**PAIR, **changes})


def test_a_file_says_it_all_and_changes_come_on_top(tmp_path: Path) -> None:
    file = tmp_path / "pair.toml"
    file.write_text('base = "B"\ndraft = "D"\nbase_port = 9000\nbase_args = ["--seed", "1"]\n')
    plan = load_plan(str(file), {"draft": "E", "draft_port": 9001})
    assert (plan.base, plan.draft, plan.base_port, plan.draft_port) == ("B", "E", 9000, 9001)
    assert plan.base_args == ["--seed", "1"]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (None, r"say what to serve: .* qwen3-8b\+0\.6b"),
        ("no-such", r"no pair or file 'no-such'"),
        (".", r"can't read \."),
    ],
)
def test_what_can_be_served_is_named_where_nothing_usable_is(source: str | None, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_plan(source)


@pytest.mark.parametrize("name", known_pairs())
def test_a_known_pair_fits_its_cards_says_so_and_finds_its_preset(name: str) -> None:
    plan = load_plan(name)
    assert "computed" in plan.source
    assert 0.85 < sum(share or 0.0 for share in plan.gpu_memory) < 0.96
    preset = builtin().preset(plan.preset, plan.base, plan.draft).name
    families = {"qwen3-vl-": "qwen3-vl-thinking", "qwen3-": "qwen3"}
    assert preset == next((found for begins, found in families.items() if name.startswith(begins)), name)


@pytest.mark.parametrize("name", known_pairs())
def test_a_known_pair_that_sees_is_served_so_that_it_can(name: str) -> None:
    plan = load_plan(name)
    sees = builtin().preset(plan.preset, plan.base, plan.draft).sees
    assert all(("--enable-scale-out" in args) is sees for args in (plan.base_args, plan.draft_args))


def test_a_known_pairs_shares_are_of_a_card_that_both_use() -> None:
    plan = load_plan("qwen3-8b+0.6b", {"base_devices": "0", "draft_devices": "1"})
    assert plan.gpu_memory == (None, None)


@pytest.mark.parametrize(
    ("host", "url"), [("0.0.0.0", "http://127.0.0.1:8000"), ("::", "http://[::1]:8000"), ("box", "http://box:8000")]
)
def test_a_server_that_listens_everywhere_is_reached_at_loopback(host: str, url: str) -> None:
    assert pair_config(LaunchPlan(**PAIR, host=host)).base.base_url == url


def test_a_file_that_is_nested_without_end_is_told(tmp_path: Path) -> None:
    """Guards scripts: any bad value is one line."""
    (tmp_path / "deep.toml").write_text(f"base = {'[' * 10_000}")
    with pytest.raises(ConfigError, match=r"can't read .*deep\.toml"):
        load_plan(str(tmp_path / "deep.toml"))

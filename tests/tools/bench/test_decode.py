"""What a server counts of speculative decoding, and what is made of it: a figure that is known, or none."""

import sys

import pytest

from specreason_graph.contract.errors import ConfigError
from specreason_graph.tools.bench.decode import Decoded, between, metrics, tokens_a_pass

# As vLLM 0.32 writes it, of two engines behind one address.
TEXT = """
# HELP vllm:spec_decode_num_drafts_total Number of spec decoding drafts.
# TYPE vllm:spec_decode_num_drafts_total counter
vllm:spec_decode_num_drafts_total{engine="0",model_name="qwen, \\"small\\""} 1.5e+03
vllm:spec_decode_num_drafts_total{engine="1",model_name="qwen, \\"small\\""} 20.0
# HELP vllm:spec_decode_num_drafts_created Number of spec decoding drafts.
# TYPE vllm:spec_decode_num_drafts_created gauge
vllm:spec_decode_num_drafts_created{engine="0",model_name="qwen, \\"small\\""} 1.7e+09
# HELP vllm:spec_decode_num_accepted_tokens_per_pos_total Accepted tokens per draft position.
# TYPE vllm:spec_decode_num_accepted_tokens_per_pos_total counter
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="qwen",position="0"} 7.0
"""


def of(drafts: int, accepted: int, *arms: str) -> Decoded:
    return Decoded(drafts=drafts, draft_tokens=5 * drafts, accepted_tokens=accepted, arms=list(arms))


def test_series_are_added_up_and_what_is_named_alike_is_left_alone() -> None:
    found = metrics(TEXT)
    assert found["vllm:spec_decode_num_drafts_total"] == 1520
    assert "vllm:spec_decode_num_accepted_tokens_total" not in found


def test_no_metrics_at_all_are_no_error() -> None:
    """What a server answers that has no such path is no text of this format, or none."""
    assert metrics("") == {}


def test_a_server_that_was_started_anew_makes_what_was_counted_unknown() -> None:
    before = {"drafts": 10, "accepted_tokens": 15}
    assert between(before, {"drafts": 14, "accepted_tokens": 25}) == {"drafts": 4, "accepted_tokens": 10}
    assert between(before, {"drafts": 14, "accepted_tokens": 3}) is None


def test_tokens_a_pass_are_of_all_runs_together() -> None:
    assert tokens_a_pass([of(10, 20, "base+decode"), of(30, 20, "base+decode")], {"base+decode"}) == 2.0


@pytest.mark.parametrize(
    "decoded",
    [
        [],
        [of(0, 0, "ours+decode")],
        [of(10, 20, "ours+decode"), None],
        [of(10, 20, "ours+decode", "base+decode")],
    ],
    ids=["not run", "nothing proposed", "not counted", "shared with another arm"],
)
def test_what_is_not_known_is_not_guessed(decoded: list[Decoded | None]) -> None:
    assert tokens_a_pass(decoded, {"ours+decode"}) is None


def test_arms_that_shared_a_server_are_known_together() -> None:
    arms = ("base+decode", "ours+decode")
    assert tokens_a_pass([of(10, 20, *arms), of(10, 0, *arms)], arms) == 2.0


def test_a_missing_extra_names_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client.parser", None)
    with pytest.raises(ConfigError, match=r"prometheus-client: pip install 'specreason-graph\[bench\]'"):
        metrics(TEXT)

"""What a server says of its load with an answer."""

import pytest

from specreason_graph.endpoint.load import waiting


def test_waiting_requests_are_read_off_the_header() -> None:
    """As vLLM 0.32 writes it."""
    said = 'JSON {"named_metrics": {"kv_cache_usage_perc": 0.4, "num_requests_waiting": 3.0}}'
    assert waiting({"endpoint-load-metrics": said}) == 3


@pytest.mark.parametrize(
    "said",
    [
        "",
        "TEXT named_metrics.num_requests_waiting=3",
        "JSON {",
        "JSON []",
        f"JSON {'[' * 100_000}",
        'JSON {"named_metrics": null}',
        *(f'JSON {{"named_metrics": {{"num_requests_waiting": {value}}}}}' for value in ('"many"', "NaN", "Infinity")),
    ],
)
def test_anything_else_says_nothing(said: str) -> None:
    assert waiting({"endpoint-load-metrics": said}) is None
    assert waiting({}) is None

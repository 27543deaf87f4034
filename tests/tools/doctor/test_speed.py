"""What the doctor measures: the prefix cache, and how much faster the draft is."""

import pytest

from specreason_graph.testing import Pace

from .examining import PACES, examined, line, of, server


async def test_a_prefix_cache_that_is_off_is_wrong() -> None:
    diagnosis = await examined(server("base", cache_blocks=0))
    assert of(diagnosis, "wrong") == {("prefix cache", "base")}
    assert "--no-enable-prefix-caching" in (line(diagnosis, "prefix cache", "base").fix or "")


@pytest.mark.parametrize(
    ("blocks", "prompt_tokens_per_second", "state", "says"),
    [(4096, 2e4, "ok", "on, by time"), (0, 2e4, "wrong", "off, by time"), (4096, 1e9, "warn", "can't be told")],
)
async def test_without_counts_the_prefix_cache_is_told_by_time_or_not_at_all(
    blocks: int, prompt_tokens_per_second: float, state: str, says: str
) -> None:
    pace = Pace(ttft=0.03, prompt_tokens_per_second=prompt_tokens_per_second)
    diagnosis = await examined(draft=server("draft", reports_cached=False, cache_blocks=blocks, pace=pace))
    counts, cache = line(diagnosis, "cached counts", "draft"), line(diagnosis, "prefix cache", "draft")
    assert (counts.state, "--enable-prompt-tokens-details" in (counts.fix or "")) == ("warn", True)
    assert (cache.state, says in cache.found) == (state, True), cache


async def test_a_draft_that_is_hardly_faster_is_warned_of() -> None:
    diagnosis = await examined(draft=server("draft", pace=PACES["base"]))
    assert "can't win" in line(diagnosis, "cost ratio").found
    assert of(diagnosis, "warn") == {("cost ratio", None)}

"""Speculative decoding in the paced benchmark: the measured tokens in their order, and where ratios cross a level."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import pytest
from critical_path import base_alone
from paced_decoding import accepted, decoder
from paced_figures import crossing
from paced_profiles import SERVERS, Server, paced
from paced_runs import LENGTHS, lengths_of
from paced_sweep import Placed, following
from paced_traces import Trace, TraceStep
from testing.clock import on_jumping_clock, read

from specreason_graph import Pair
from specreason_graph.contract.errors import ConfigError
from specreason_graph.testing import Script, scripted_pair
from specreason_graph.tools.decoding import passes
from specreason_graph.tools.profiles import profiles

H100 = profiles()["h100-bf16"]


def test_the_decoder_takes_the_passes_of_the_measured_text() -> None:
    """Guards the data's meaning: what a server gives is what `tokens_a_pass` counts, and goes on behind the end."""
    matches = "1101110000111101"
    of_it = decoder(H100, matches, 3)
    assert list(islice(of_it.passes(0), 7)) == list(passes(matches * 2, 3))[:7]
    assert list(islice(decoder(H100, matches, 3, start=5).passes(0), 7)) == list(islice(of_it.passes(5), 7))
    assert of_it.seconds == pytest.approx(3 * 0.003)  # the draft's passes


@pytest.mark.parametrize("matches", ["1", "11", "0"])
def test_a_text_may_be_shorter_than_what_is_proposed(matches: str) -> None:
    assert set(decoder(H100, matches, 5).gives) == {6 if "1" in matches else 1}


def test_the_shipped_texts_can_be_read() -> None:
    """Guards the data file."""
    figures = accepted().figures()
    assert 1 < figures["tokens_a_pass"] <= figures["proposed"] + 1
    assert figures["about"]


@pytest.mark.parametrize("text", ["", "{}", '{"about": {}, "proposed": 5, "runs": []}'])
def test_a_file_without_texts_is_refused(text: str, tmp_path: Path) -> None:
    """Guards the message: it names the file, and what must be in it."""
    path = tmp_path / "accepted.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(f'{path} must hold "about", "proposed" and "runs"')):
        accepted(path)


def test_easy_tokens_can_follow_the_accepted_steps() -> None:
    """Guards the other end of the range: the same tokens, the easiest chunks in what the draft wrote."""
    trace = Trace((TraceStep(8, 8, False), TraceStep(8, 8, True), TraceStep(4, 4, False)), 0)
    it = following(Placed(trace, "1" * 8 + "01" * 4 + "0000", start=0))
    assert it.matches[LENGTHS.opening :] == "01" * 4 + "1" * 8 + "0000"


@pytest.mark.parametrize(
    ("points", "level", "at"),
    [
        ({10: 0.8, 40: 1.1, 80: 1.5}, 1.0, 30),
        ({10: 1.1, 40: 0.9, 80: 1.1}, 1.0, 60),  # for good: not where it first was above
        ({10: 1.1, 80: 1.5}, 1.0, 10),
        ({10: 0.5, 80: 0.9}, 1.0, None),
        ({}, 1.0, None),
    ],
)
def test_where_a_level_is_crossed(points: dict[int, float], level: float, at: float | None) -> None:
    """Guards the plot's marks."""
    assert crossing(points, level) == (at if at is None else pytest.approx(at))


async def test_lengths_are_those_of_the_questions() -> None:
    """Guards the sweep and the estimate: they are reckoned without servers."""
    async with scripted_pair(Script([]), Script([]), template="think") as servers, Pair(servers.config) as pair:
        assert await lengths_of(pair) == LENGTHS


@pytest.mark.parametrize("server", SERVERS)
def test_a_call_takes_as_long_as_the_bound_says(server: Server) -> None:
    """Guards efficiency: the server and the bound begin at the same place of the text, and count the same passes."""
    inside = decoder(H100, accepted().whole, 5, start=17)
    trace = Trace((TraceStep(80, 80, False),), 0)

    async def main() -> float:
        pace = paced(H100, "base", server, inside)
        await read(pace.begin(LENGTHS.opening, 1, place=LENGTHS.opening), 80 + 1)  # the last one closes the reasoning
        kept = LENGTHS.opening + 80
        prompt, uncached = kept + LENGTHS.cue, kept + LENGTHS.cue - 16 * (kept // 16)
        return (await read(pace.begin(uncached, 1, place=prompt), LENGTHS.answer))[-1]

    assert on_jumping_clock(main()) == pytest.approx(base_alone(trace, H100, LENGTHS, inside))

"""`specreason predict`: from a profile, or from servers that are timed first."""

import json

from specreason_graph.testing import Pace, Script, ScriptedServer

from .conftest import Specreason, at, serving

STEPS = [" ".join(f"word{n}" for n in range(30)) + ".", "So 12."]


def test_a_profile_gives_a_table_and_says_what_it_is(specreason: Specreason) -> None:
    done = specreason("predict", "--profile", "h100-bf16", "--acceptance", "80")
    assert done.status == 0
    assert "by formula" in done.out
    assert "80 %" in done.out


def test_an_unknown_profile_names_the_known_ones(specreason: Specreason) -> None:
    done = specreason("predict", "--profile", "tpu")
    assert (done.status, "h100-bf16" in done.err) == (2, True)


def test_servers_are_timed(specreason: Specreason) -> None:
    """The ratio of their paces is found again."""
    base = ScriptedServer(Script(STEPS), template="think", pace=Pace(seconds_per_token=0.02))
    draft = ScriptedServer(Script(STEPS), template="think", pace=Pace(seconds_per_token=0.005))
    with serving(base, draft) as servers:
        done = specreason("predict", "--json", *at(servers))
    assert done.status == 0, done.err
    timings = json.loads(done.out)["timings"]
    assert 0.018 < timings["base_token"] < 0.05
    assert timings["base_token"] > 1.5 * timings["draft_token"]

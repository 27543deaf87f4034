"""`specreason predict`: from a profile, or from servers that are timed first."""

import json

import pytest

from specreason_graph.testing import Pace, Script, ScriptedServer

from .conftest import Specreason, at, serving

STEPS = [" ".join(f"word{n}" for n in range(30)) + ".", "So 12."]


def test_a_profile_gives_a_table_and_says_what_it_is(specreason: Specreason) -> None:
    done = specreason("predict", "--profile", "h100-bf16", "--acceptance", "80")
    assert done.status == 0
    assert "by formula" in done.out
    assert "80 %" in done.out


ARMS = ["base", "base+decode", "specreason", "specreason+decode"]


def test_a_profile_says_what_of_all_to_take(specreason: Specreason) -> None:
    """The contract for scripts, and the same for a person; and where the tokens a pass are from."""
    said = json.loads(specreason("predict", "--profile", "h100-bf16", "--json").out)
    assert list(said["modes"]) == ARMS
    assert said["modes"]["base"] == {"ratio": 1.0}
    assert (said["acceptance"], said["overlap"], said["advice"][-1]) == (60, "both", ".")
    assert {"timings", "source", "speedup", "pays_from"} <= said.keys()
    assert said["decode"].keys() == {"tokens_a_pass", "proposed", "source", "speedup", "pays_from"}
    assert said["modes"]["specreason+decode"]["ratio"] == pytest.approx(said["decode"]["speedup"]["both"]["60"])
    out = " ".join(specreason("predict", "--profile", "h100-bf16").out.split())
    assert said["advice"] in out
    assert said["decode"]["source"] in out


def test_tokens_a_pass_may_be_given(specreason: Specreason) -> None:
    """Decoding gains what they say, and SpecReason on top pays from another acceptance on than on base alone."""
    asked = ("predict", "--profile", "h100-bf16", "--acceptance", "80", "--acceptance", "20", "--json")
    said = json.loads(specreason(*asked, "--decode-tokens", "2.5", "--proposed", "3").out)
    assert said["acceptance"] == 80
    assert said["modes"]["base+decode"]["ratio"] == pytest.approx(22 * 2.5 / (22 + 3 * 3))
    assert (said["decode"]["tokens_a_pass"], said["decode"]["proposed"]) == (2.5, 3)
    assert "given" in said["decode"]["source"]
    assert said["decode"]["pays_from"]["sequential"] > said["pays_from"]["sequential"]


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--decode-tokens", "7"], "one of its own at most"), (["--proposed", "3"], "goes with --decode-tokens")],
)
def test_tokens_that_no_pass_can_give_are_refused(specreason: Specreason, options: list[str], says: str) -> None:
    done = specreason("predict", "--profile", "h100-bf16", *options)
    assert (done.status, says in done.err) == (2, True)


def test_a_draft_of_another_tokenizer_can_not_decode_but_n_grams_can(specreason: Specreason) -> None:
    draft = ScriptedServer(Script(STEPS), template="think", tokenizer="b")
    with serving(ScriptedServer(Script(STEPS), template="think"), draft) as servers:
        said = json.loads(specreason("predict", "--json", *at(servers)).out)
        given = json.loads(specreason("predict", "--json", "--decode-tokens", "1.5", *at(servers)).out)
    assert said["decode"] is None
    assert [said["modes"][arm]["ratio"] is None for arm in ARMS] == [False, True, False, True]
    assert given["modes"]["base+decode"]["ratio"] == pytest.approx(1.5)


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

"""Which way of a faster base is advised: the simplest that nothing is clearly faster than."""

from __future__ import annotations

import pytest

from specreason_graph.tools.decoding import Decoding
from specreason_graph.tools.forecast import CLEARLY, Arm, Speculation, advice, choice, forecast
from specreason_graph.tools.predict import Steps, Timings, speedup

FAST = Timings(base_token=0.02, base_first=0.02, draft_token=0.002, draft_first=0.002, judge=0.03)
DRAFT = Speculation(Decoding(tokens_a_pass=3.0), 0.002, "`--decode draft_model`", "measured here")
OTHER = "the draft has another tokenizer"


def ratios(decode: float | None, specreason: float, both: float | None) -> dict[Arm, float | None]:
    return {"base": 1.0, "base+decode": decode, "specreason": specreason, "specreason+decode": both}


@pytest.mark.parametrize(
    ("found", "arm"),
    [
        (ratios(0.9, 1.04, 1.0), "base"),
        (ratios(1.05, 1.0, 1.0), "base+decode"),
        (ratios(2.0, 1.5, 2.09), "base+decode"),
        (ratios(2.0, 1.5, 2.1), "specreason+decode"),
        (ratios(2.0, 2.09, 2.09), "base+decode"),
        (ratios(2.0, 2.1, 2.2), "specreason"),
        (ratios(2.0, 2.1, 2.21), "specreason+decode"),
        (ratios(0.9, 1.05, 1.0), "specreason"),
        (ratios(None, 1.05, None), "specreason"),
        (ratios(None, 1.04, None), "base"),
    ],
)
def test_what_needs_more_has_to_be_clearly_faster(found: dict[Arm, float | None], arm: Arm) -> None:
    """At each border, which is a twentieth: more servers, and accuracy to be looked at, are not for nothing."""
    assert CLEARLY == 1.05
    assert choice(found) == arm


@pytest.mark.parametrize(
    ("found", "speculation", "begins", "says"),
    [
        (ratios(2.0, 1.5, 2.05), DRAFT, "Leave SpecReason off and use `--decode draft_model`: 2.00x", "make it 2.05x"),
        (ratios(2.0, 1.5, 3.0), DRAFT, "Use both, SpecReason and `--decode draft_model`: 3.00x", "alone is 2.00x"),
        (ratios(1.1, 1.5, 1.4), DRAFT, "Use SpecReason without decoding: 1.50x", "on top would make it 1.40x"),
        (ratios(None, 1.5, None), OTHER, "Use SpecReason without decoding: 1.50x", OTHER),
        (ratios(0.8, 0.9, 0.7), DRAFT, "Use base alone: nothing else is clearly faster", "at 60 % accepted"),
        (ratios(None, 0.9, None), OTHER, "Use base alone", f"not to be had ({OTHER}), and SpecReason is not clearly"),
    ],
)
def test_the_advice_is_one_sentence_with_its_figures(
    found: dict[Arm, float | None], speculation: Speculation | str, begins: str, says: str
) -> None:
    said = advice(found, 60, speculation)
    assert said.startswith(begins)
    assert says in said
    assert said.endswith(".")
    assert ". " not in said
    assert "calibrate" in said or not said.startswith(("Use both", "Use SpecReason")), "speed is not all"


def test_ratios_are_against_base_that_decodes_a_token_a_pass() -> None:
    steps = Steps(acceptance=0.8)
    found = forecast(FAST, DRAFT, acceptance=80)
    assert found.ratios["base+decode"] == pytest.approx(2.0)
    assert found.ratios["specreason"] == pytest.approx(speedup(FAST, steps, "both"))
    assert found.ratios["specreason+decode"] == pytest.approx(2 * speedup(DRAFT.inside(FAST), steps, "both"))


def test_without_decoding_its_arms_have_no_figure() -> None:
    found = forecast(FAST, OTHER, overlap="sequential")
    assert (found.ratios["base+decode"], found.ratios["specreason+decode"]) == (None, None)
    assert found.ratios["specreason"] == pytest.approx(speedup(FAST, Steps(acceptance=0.6), "sequential"))
    assert OTHER in found.advice

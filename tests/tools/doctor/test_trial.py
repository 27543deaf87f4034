"""The step that the doctor has drafted and judged."""

from typing import Any

import pytest

from specreason_graph.testing import Script

from .examining import STEP, examined, line, of, server


async def test_the_step_and_its_judging_are_real() -> None:
    """Through the nodes, so that what is shown is what a run would see."""
    diagnosis = await examined(threshold=8)
    assert diagnosis.step is not None
    assert diagnosis.judge is not None
    assert diagnosis.step["text"] == f"{STEP}\n\n"
    assert (diagnosis.judge["label_probs"] or {})["8"] == pytest.approx(0.36)
    assert (diagnosis.judge["accepted"], diagnosis.judge["score"], diagnosis.judge["threshold"]) == (False, 7.0, 8.0)
    assert "rejected, 7.00 against 8" in line(diagnosis, "judge call").found
    assert diagnosis.ok, "a rejected step is no fault of the servers"


async def test_a_likelihood_judge_shows_the_tokens_it_asked_about() -> None:
    diagnosis = await examined(judge="likelihood", spots=4)
    assert diagnosis.judge is not None
    assert diagnosis.judge["label_probs"] is None
    assert len(diagnosis.judge["spots"] or ()) == 4
    assert "asks for none" in line(diagnosis, "labels").found


async def test_a_judge_that_says_no_label_is_warned_of() -> None:
    script = Script([STEP], scores=[{"The": 0.6, "9": 0.3}])
    found = line(await examined(server("base", script)), "judge call")
    assert (found.state, "--judge likelihood" in (found.fix or "")) == ("warn", True)
    assert "30%" in found.found


async def test_a_draft_that_writes_nothing_is_wrong() -> None:
    diagnosis = await examined(draft=server("draft", Script(lambda _: "")))
    assert of(diagnosis, "wrong") == {("draft step", None)}
    left_out = {("decoding", "draft"), ("cost ratio", None), ("speculation", None), ("judge call", None)}
    assert left_out == of(diagnosis, "skipped")


@pytest.mark.parametrize(
    ("settings", "overlap"),
    [({}, "both"), ({"hedge": False}, "look_ahead"), ({"look_ahead": False, "hedge": False}, "sequential")],
)
async def test_the_overlap_is_that_of_a_run(settings: dict[str, Any], overlap: str) -> None:
    assert (await examined(**settings)).overlap == overlap

"""A script must go on from any transcript, and go on the same way however it was cut."""

from __future__ import annotations

import pytest

from specreason_graph.testing import Script

COWS = Script(["There are 3 cows.", ("3 * 4 = 12 legs.", "So 3 * 4 = 12.")], answer="It is 12.")


def rest(transcript: str, script: Script = COWS, *, thinking: bool = False, opens: bool = False) -> str:
    return script.rest(transcript, thinking=thinking, opens=opens)


@pytest.mark.parametrize(
    ("transcript", "expected"),
    [
        ("", "There are 3 cows.\n\n3 * 4 = 12 legs."),
        ("There are 3", " cows.\n\n3 * 4 = 12 legs."),
        ("There are 3 cows.", "\n\n3 * 4 = 12 legs."),
        ("There are 3 cows.\n", "\n3 * 4 = 12 legs."),
        ("There are 3 cows.\n\n", "3 * 4 = 12 legs."),
        ("Others say: cows.\n\n", "3 * 4 = 12 legs."),
        ("Others say: cows.\n\nSo 3 *", " 4 = 12."),
        ("There are 3 cows.\n\n3 * 4 = 12 legs.", ""),
        ("There are 3 cows.\n\n3 * 4 = 12 legs.\n\n", ""),
        ("There are 3 cows.\n\nThe answer is: ", "It is 12."),
        ("There are 3 cows.\n\nThe answer is: It", " is 12."),
    ],
)
def test_instruct_turns_go_on(transcript: str, expected: str) -> None:
    """Guards resume, cut and forced answers of instruct models."""
    assert rest(transcript) == expected


@pytest.mark.parametrize(
    ("transcript", "expected"),
    [
        ("There are 3 cows.\n\n3 * 4 = 12", " legs.</think>\n\nIt is 12."),
        ("There are 3 cows.\n\nSo 3 * 4", " = 12.</think>\n\nIt is 12."),
        ("A.\n\nB.\n\n", "</think>\n\nIt is 12."),
        ("A.\n\nB.\n\nC", "</think>\n\nIt is 12."),
        ("There are 3</think>", "\n\nIt is 12."),
        ("There are 3</think>\n\n", "It is 12."),
        ("A.\n\nB.</think>\n\nIt is", " 12."),
        ("A.\n\nB.</think>\n\nIt is 12.", ""),
    ],
)
def test_thinking_turns_go_on(transcript: str, expected: str) -> None:
    """Guards the closing marker, forced or not, and the answer behind it."""
    assert rest(transcript, thinking=True) == expected


def test_a_thinking_model_opens_what_its_template_did_not() -> None:
    """Guards templates like Qwen3's: the opening is written unless the client has."""
    assert rest("", thinking=True, opens=True).startswith("<think>\nThere")
    assert rest("<think>\nThere", thinking=True, opens=True).startswith(" are")


def test_an_unknown_partial_step_is_followed_by_the_scripted_one() -> None:
    """Guards steps cut at their cap: the scripted step starts anew, and is not started twice."""
    assert rest("Once upon ", thinking=True).startswith("There are 3 cows.\n\n")
    assert rest("Once upon There", thinking=True).startswith(" are 3 cows.\n\n")


def test_a_cue_answers_wherever_it_stands() -> None:
    """Guards answers with blank lines, which only a named cue can carry."""
    script = Script(["A.", "B."], answer="First.\n\nSecond.", cue="Answer: ")
    assert rest("A.\n\nAnswer: First.\n\n", script) == "Second."
    assert rest("A.\n\n", script) == "B."


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (7, {"7": 0.9}),
        (7.5, {"7": 0.45, "8": 0.45}),
        ("yes", {"yes": 0.9}),
        ({"I": 0.6, "9": 0.3}, {"I": 0.6, "9": 0.3}),
    ],
)
def test_scores_are_label_probabilities(score: float | str | dict[str, float], expected: dict[str, float]) -> None:
    """Guards the shorthands of verdicts."""
    assert Script(["A."], scores=[score]).verdict("", "A.\n\n") == expected


def test_the_last_step_of_the_transcript_is_the_judged_one() -> None:
    """Guards verdicts by step index, with and without the boundary behind the step; 9 is the default."""
    script = Script(["A.", "B."], scores=[1, 2])
    verdicts = [
        script.verdict("", judged) for judged in ("<think>\nA.\n\n", "A.\n\nB.", "A.\n\nB.\n\n", "A.\n\nB.\n\nC.")
    ]
    assert verdicts == [{"1": 0.9}, {"2": 0.9}, {"2": 0.9}, {"9": 0.9}]


@pytest.mark.parametrize("steps", [["one\n\ntwo"], [" "], [("fine", "")]])
def test_steps_that_are_not_one_step_are_refused(steps: list[str]) -> None:
    """Guards step indices: a blank line inside a step would shift them all."""
    with pytest.raises(ValueError, match="without a blank line"):
        Script(steps)


def test_impossible_confidence_is_refused() -> None:
    """Guards log-probabilities: zero has none."""
    with pytest.raises(ValueError, match="confidence"):
        Script(["A."], confidence=0.0)

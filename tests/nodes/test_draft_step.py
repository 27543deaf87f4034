"""What the draft writes becomes a step only when it is one."""

from conftest import Solve

from specreason_graph.testing import Script

LONG = "First we count every cow in the field, one after the other, until none is left."


async def test_a_step_cut_at_its_token_cap_is_not_a_finished_step(solve: Solve) -> None:
    """The authors' script joins it as whole, with a blank line in mid-sentence."""
    same = Script([LONG, "So 12."], answer="12")
    solved = await solve(same, same, step_tokens=10)
    assert [step["cut"] for step in solved.steps][:2] == [True, True]
    assert "".join(step["text"] for step in solved.steps) == f"{LONG}\n\nSo 12."


async def test_a_cut_never_ends_inside_a_character_or_on_a_newline(solve: Solve) -> None:
    """A prompt that ends so is misread, and a boundary is only found in one request's output."""
    same = Script(["数えると🙂🙂🙂\nthen 🙂", "So 12."], answer="12")
    for cap in range(1, 9):
        solved = await solve(same, same, step_tokens=cap)
        assert not any("\ufffd" in step["text"] for step in solved.steps)
        assert not any(step["cut"] and step["text"].endswith("\n") for step in solved.steps)


async def test_blank_lines_are_no_step(solve: Solve) -> None:
    """A draft that writes nothing else is handed to base, and no judge is asked."""
    solved = await solve(Script(["All by base.", "So 12."], answer="12"), Script(lambda _: "\n\n" * 50))
    assert [step["reject_reason"] for step in solved.steps] == ["empty", "empty"]
    assert solved.state["specreason_usage"]["judge"]["requests"] == 0
    assert solved.texts == ["All by base.", "So 12."]


async def test_blank_lines_before_a_step_become_its_beginning(solve: Solve) -> None:
    text = "\n\n3 * 4 = 12.\n\nSo 12.</think>"
    draft = Script(lambda said: text[len(said) :])
    solved = await solve(Script(["3 * 4 = 12.", "So 12."], answer="12"), draft)
    assert solved.steps[0]["text"] == "\n\n3 * 4 = 12.\n\n"
    assert solved.texts == ["3 * 4 = 12.", "So 12."]


async def test_the_end_of_reasoning_as_the_very_first_token_is_seen(solve: Solve) -> None:
    """It is no step of its own, and what was reasoned so far stays."""
    draft = Script(lambda said: "</think>" if "cows" in said else "There are 3 cows.\n\n")
    solved = await solve(Script(["never asked"], answer="12"), draft)
    assert solved.texts == ["There are 3 cows."]
    assert solved.state["specreason_ended"] == "finished"
    assert solved.state["specreason_answer"] == "12"


async def test_a_draft_that_ends_before_any_step_is_not_believed(solve: Solve) -> None:
    solved = await solve(Script(["3 * 4 = 12."], answer="12"), Script(lambda _: "</think>"))
    assert solved.texts == ["3 * 4 = 12."]
    assert solved.steps[0]["reject_reason"] == "empty"


async def test_end_of_turn_as_the_very_first_token_is_seen(solve: Solve) -> None:
    draft = Script(lambda said: "<|im_end|>" if "cows" in said else "There are 3 cows.\n\n")
    solved = await solve(Script(["never asked"]), draft, template="instruct", judge="paper", boxed=True)
    assert solved.texts == ["There are 3 cows."]
    assert solved.state["specreason_answer"] == "There are 3 cows."


async def test_every_request_has_a_seed_of_its_own(solve: Solve) -> None:
    """One seed in all would repeat one noise every step; the same run again repeats itself."""
    steps = [f"Step number {n} of many others." for n in ("one", "two", "three")]
    runs = [await solve(Script(steps, scores=[9, 0, 9]), Script(steps), seed=5) for _ in range(2)]
    seeds = [[r.seed for r in run.base.completions + run.draft.completions if r.seed is not None] for run in runs]
    assert len(set(seeds[0])) == len(seeds[0])
    assert seeds[0] == seeds[1]


async def test_the_first_steps_are_base_s_own(solve: Solve) -> None:
    steps = ["Count the cows first.", "Multiply that by four.", "So 12."]
    solved = await solve(Script(steps, answer="12"), Script(steps), first_steps=2)
    assert [step["source"] for step in solved.steps] == ["base", "base", "draft"]
    assert [step["accepted"] for step in solved.steps] == [None, None, True]


async def test_base_goes_on_for_some_steps_after_a_reject(solve: Solve) -> None:
    """Acceptance is autocorrelated: behind a reject the next draft is rejected more often than not."""
    steps = ["Count the cows first.", "Multiply that by four.", "Check it by adding.", "So 12."]
    solved = await solve(Script(steps, scores=[0]), Script(steps), base_steps_after_reject=3)
    assert [step["source"] for step in solved.steps] == ["base", "base", "base", "draft"]
    assert [step["accepted"] for step in solved.steps] == [False, None, None, True]

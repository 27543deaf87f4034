"""What base writes is kept, and ends the reasoning where it should."""

from conftest import Solve

from specreason_graph.testing import Script, ScriptedServer

STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", "So 12."]


async def test_base_may_end_the_reasoning_too(solve: Solve) -> None:
    solved = await solve(Script(STEPS, answer="12", scores=[9, 9, 0]), Script(["A.", "B.", "C.", "D."]))
    assert solved.state["specreason_ended"] == "finished"
    assert solved.steps[-1]["source"] == "base"
    assert solved.state["specreason_answer"] == "12"


async def test_base_that_ends_at_once_leaves_no_step_behind(solve: Solve) -> None:
    solved = await solve(
        Script(lambda said: "\n\n12" if "</think>" in said else "</think>", scores=lambda _: {"0": 1.0}), Script(STEPS)
    )
    assert solved.steps == []
    assert (solved.state["specreason_ended"], solved.state["specreason_answer"]) == ("finished", "12")


async def test_the_draft_reads_base_s_steps_in_its_own_tokens(solve: Solve) -> None:
    base = ScriptedServer(Script(STEPS, answer="12", scores=[0, 0, 0]), tokenizer="a", template="think")
    draft = ScriptedServer(Script(["Wrong.", "Wrong too.", "Still wrong."]), tokenizer="b", template="think")
    solved = await solve(base, draft)
    last = draft.completions[-1].prompts[0]
    assert draft.model.tokenizer.spell(last).decode().endswith("There are 3 cows.\n\n3 * 4 = 12 legs.\n\n")
    assert solved.texts == STEPS


async def test_base_in_a_loop_has_no_one_to_hand_over_to(solve: Solve) -> None:
    solved = await solve(
        Script(lambda said: "\n\n12" if "</think>" in said else "Once more.\n\n" * 9, scores=lambda _: {"0": 1.0}),
        Script(["A.", "B.", "C.", "D."]),
    )
    assert solved.state["specreason_ended"] == "loop"
    assert solved.texts == ["Once more."]
    assert solved.state["specreason_answer"] == "12"

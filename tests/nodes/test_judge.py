"""Accept or reject, with a reason."""

from math import log

import pytest
from conftest import Solve

from specreason_graph.testing import Fault, Script, ScriptedServer

STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", "So 12."]
WRONG = ["There are 3 cows.", "3 * 4 = 11 legs.", "So 11."]


async def test_scores_at_or_above_the_threshold_are_kept(solve: Solve) -> None:
    solved = await solve(Script(STEPS, answer="12", scores=[7, 6, 9]), Script(WRONG))
    assert [step["source"] for step in solved.steps] == ["draft", "base", "draft"]
    assert solved.steps[1]["rejected_text"] == "3 * 4 = 11 legs.\n\n"
    assert solved.steps[1]["text"] == "3 * 4 = 12 legs.\n\n"
    assert solved.steps[1]["label_probs"] == pytest.approx({"6": 0.9})


@pytest.mark.parametrize(
    ("labels", "reason"),
    [({"The": 0.6, "9": 0.3}, "no_label"), ({"The": 0.9}, "no_labels")],
)
async def test_a_judge_that_gives_no_label_rejects_with_a_reason(
    solve: Solve, labels: dict[str, float], reason: str
) -> None:
    """Never a silent 0, which looks like a strict judge."""
    solved = await solve(Script(STEPS, scores=[labels]), Script(WRONG))
    assert solved.steps[0]["reject_reason"] == reason
    assert solved.steps[0]["score"] is None


async def test_the_judge_reads_the_step_behind_what_base_has_in_its_cache(solve: Solve) -> None:
    """One prompt: ledger, step, request; at most the step, the request and two blocks of 16 are computed."""
    base = ScriptedServer(Script(STEPS * 3, answer="12"), template="think")
    solved = await solve(base, Script([f"{s} {n}" for n in (1, 2, 3) for s in STEPS]))
    judged = [r for r in base.completions if r.body["max_tokens"] == 1]
    requests = [len(r.prompts[0]) - r.cached_tokens for r in judged]
    suffix = min(requests)
    assert len(judged) == len(solved.steps)
    assert max(requests[1:]) <= suffix + max(len(step["ids"]["base"]) for step in solved.steps) + 32


async def test_likelihood_rejects_the_one_token_that_base_would_not_write(solve: Solve) -> None:
    solved = await solve(Script(STEPS, answer="12"), Script(WRONG), judge="likelihood", template="instruct")
    step = solved.steps[1]
    assert (step["source"], step["reject_reason"]) == ("base", "likelihood")
    assert step["spots"] is not None
    worst = min(step["spots"], key=lambda spot: spot["base_logprob"])
    assert "1" in worst["text"]
    assert worst["at_most"] or worst["base_logprob"] < -2


async def test_a_spot_tells_where_it_is_and_what_base_would_have_written(solve: Solve) -> None:
    """Guards what is judged again, and what is shown of a run: without them a spot is a number without a place."""
    base = ScriptedServer(Script(STEPS, answer="12"), template="instruct")
    solved = await solve(base, Script(WRONG), judge="likelihood", template="instruct")
    step, tokenizer = solved.steps[1], base.model.tokenizer
    drafted = [tokenizer.spelling[token].decode() for token in tokenizer.encode(WRONG[1] + "\n\n")]
    spots = step["spots"] or []
    assert [drafted[spot["place"]] for spot in spots] == [spot["text"] for spot in spots]
    assert [spot["place"] for spot in spots] == sorted(spot["place"] for spot in spots)
    worst = min(spots, key=lambda spot: spot["base_logprob"])
    assert tokenizer.spelling[worst["alternative"] or 0].decode() in STEPS[1]
    assert worst["lead"] is not None
    assert worst["lead"] > 2
    assert all((spot["lead"] or 0) < 0 for spot in spots if spot["base_logprob"] > -0.1)


@pytest.mark.parametrize("scale_out", [False, True], ids=["spot-by-spot", "from-one-prompt"])
async def test_tokens_that_the_draft_is_sure_of_are_not_asked_about(solve: Solve, scale_out: bool) -> None:
    """Guards the judge's cost; the record says what was left out, so that a bolder judge is refused there."""
    unsure = {"2": 0.6, "=": 0.7}
    draft = Script(STEPS, confidence=lambda said, token: unsure.get(token.strip(), 0.99))
    base = ScriptedServer(Script(STEPS, answer="12"), template="instruct", scale_out=scale_out)
    solved = await solve(base, draft, judge="likelihood", template="instruct")
    asked = [[spot["text"].strip() for spot in step["spots"] or []] for step in solved.steps]
    assert asked[1] == ["=", "2"]
    assert [len(texts) for texts in asked] == [1, 2, 2], "one at least, and the end of the reasoning in any case"
    assert [step["unasked"] for step in solved.steps] == pytest.approx([log(0.99)] * 3)


async def test_likelihood_works_across_two_tokenizers(solve: Solve) -> None:
    base = ScriptedServer(Script(STEPS, answer="12"), tokenizer="a")
    draft = ScriptedServer(Script(WRONG), tokenizer="b")
    solved = await solve(base, draft, judge="likelihood", template="instruct")
    assert [step["source"] for step in solved.steps][:2] == ["draft", "base"]
    assert solved.texts[:2] == STEPS[:2]


@pytest.mark.parametrize("template", ["instruct", "think"])
async def test_the_full_likelihood_is_the_same_evidence_from_fewer_prompts(solve: Solve, template: str) -> None:
    """Guards policies, which must not mean another thing with another way of reading."""
    runs, prompts = [], []
    for scale_out in (False, True):
        base = ScriptedServer(Script(STEPS, answer="12"), template=template, scale_out=scale_out)  # type: ignore[arg-type]
        runs.append((await solve(base, Script(WRONG), judge="likelihood", template=template)).steps)
        prompts.append(sum(len(request.prompts) for request in base.requests))
    assert [step["reject_reason"] for step in runs[1]] == [step["reject_reason"] for step in runs[0]]
    for spot, whole in zip(*([spot for step in run for spot in step["spots"] or []] for run in runs), strict=True):
        assert whole["text"] == spot["text"]
        assert not whole["at_most"] or spot["at_most"]
        assert whole["base_logprob"] == pytest.approx(spot["base_logprob"]) or spot["at_most"]
    assert prompts[1] < prompts[0]


async def test_a_likelihood_that_the_server_cannot_write_is_read_spot_by_spot(solve: Solve) -> None:
    """Guards runs on real vLLM: uncomputed rows are whatever its memory held, and infinity can't be sent as JSON."""
    runs = []
    for broken in (False, True):
        base = ScriptedServer(Script(STEPS, answer="12"), scale_out=True)
        if broken:
            refusal = Fault("status", status=400, message="Out of range float values are not JSON compliant")
            base.fail(refusal, path="/inference/v1/generate", times=None)
        runs.append((await solve(base, Script(WRONG), judge="likelihood", template="instruct")).steps)
    assert [step["reject_reason"] for step in runs[1]] == [step["reject_reason"] for step in runs[0]]
    spots = [[spot["base_logprob"] for step in run for spot in step["spots"] or []] for run in runs]
    assert spots[1] == pytest.approx(spots[0])


async def test_likelihood_asks_for_few_tokens_only(solve: Solve) -> None:
    same = Script([" ".join(f"Word{n}" for n in range(60)) + ".", "So 12."])
    solved = await solve(same, same, judge="likelihood", spots=4, template="instruct")
    assert [len(step["spots"] or []) for step in solved.steps] == [4, 5]  # the last one's end is asked about too


async def test_a_draft_that_stops_too_early_is_found_by_its_end(solve: Solve) -> None:
    """No word of it is wrong; base only would not stop there."""
    solved = await solve(
        Script(STEPS, answer="12"), Script(["There are 3 cows."]), judge="likelihood", template="instruct"
    )
    assert solved.steps[0]["reject_reason"] == "likelihood"
    assert solved.texts[-1] == "So 12."


async def test_repeated_drafts_go_to_base_once_and_then_the_answer_is_forced(solve: Solve) -> None:
    looping = Script(lambda said: "Let me check that again.\n\n" * 9)
    solved = await solve(Script(["Start.", "On with it.", "Then this.", "So 12."], answer="12"), looping)
    assert [step["reject_reason"] for step in solved.steps].count("loop") == 1
    assert solved.state["specreason_ended"] == "loop"
    assert solved.state["specreason_answer"] == "12"
    assert len(solved.steps) <= 4


async def test_a_loop_costs_no_judge_call(solve: Solve) -> None:
    looping = Script(lambda said: "Let me check that again.\n\n" * 9)
    solved = await solve(Script(["Start.", "On with it."], answer="12"), looping)
    judged = [e for e in solved.events if e["event"] == "step_judged" and e["verdict"]["judge_tokens"]]
    assert (
        len(judged)
        == solved.state["specreason_usage"]["judge"]["requests"]
        < sum(e["event"] == "step_judged" for e in solved.events)
    )


async def test_a_draft_too_long_for_base_s_context_is_cut_to_it(solve: Solve) -> None:
    """With two tokenizers one text may be many more tokens for base."""
    base = ScriptedServer(Script(["Short.", "So 12."], answer="12"), tokenizer="b", template="think", context=460)
    long = "The total number of the remaining 🙂 items. " * 9
    draft = ScriptedServer(Script([long]), tokenizer="a", template="think")
    solved = await solve(base, draft, answer_budget=40)
    assert solved.state["specreason_answer"] == "12"
    drafted = next(step for step in solved.steps if step["source"] == "draft")
    assert drafted["cut"]
    assert len(drafted["ids"]["base"]) < len(
        base.model.tokenizer.encode("The total number of the remaining 🙂 items. " * 9)
    )


@pytest.mark.parametrize("judge", ["paper", "yes-no", "strict", "likelihood"])
async def test_a_bare_end_of_the_reasoning_is_judged_by_every_judge(solve: Solve, judge: str) -> None:
    """A draft that stops too early writes no step that a label could be put on: base is asked how likely the end is."""
    right = [f"Step {n} says that {n} and {n} is {2 * n}." for n in range(1, 4)]
    stops = Script(lambda said: (right[0] + "\n\n")[len(said) :] + "</think>\n\n2")
    solved = await solve(Script(right, answer="6", scores=["9"] * 3), stops, judge=judge)
    assert solved.state["specreason_ended"] == "finished"
    assert solved.texts == right, "base finds the end unlikely, and goes on"
    ends = [step for step in solved.steps if step["ends"]]
    assert [step["reject_reason"] for step in ends] == ["likelihood"] * len(ends)
    assert all(step["spots"] and step["spots"][-1]["base_logprob"] < -2 for step in ends)


async def test_a_bare_end_that_base_finds_likely_ends_the_reasoning(solve: Solve) -> None:
    right = ["Step 1 says that 1 and 1 is 2."]
    script = Script(lambda said: (right[0] + "\n\n")[len(said) :] + "</think>\n\n2", scores=lambda _: {"9": 0.9})
    solved = await solve(script, script, judge="paper")
    assert (solved.state["specreason_ended"], solved.texts) == ("finished", right)
    assert solved.base.completions, "base was asked"


async def test_loop_detection_can_be_turned_off(solve: Solve) -> None:
    again = ["So x = 3.", "So x = 3.", "So x = 3.", "That is all."]
    looping = await solve(Script(again, answer="3"), Script(again))
    assert looping.state["specreason_ended"] == "loop"
    solved = await solve(Script(again, answer="3"), Script(again), loop_detection=False)
    assert (solved.state["specreason_ended"], solved.texts) == ("finished", again)


async def test_an_enumeration_is_reasoning(solve: Solve) -> None:
    """Steps that differ in their numbers are different steps."""
    rows = [f"The entry in row 2, column {n} of the product is {n} * 4 + 5 * {n} = {9 * n}." for n in range(1, 6)]
    solved = await solve(Script([*rows, "So the row is done."], answer="86"), Script([*rows, "So the row is done."]))
    assert (solved.state["specreason_ended"], len(solved.steps)) == ("finished", 6)

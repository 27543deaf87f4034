"""Labelled steps: a drafted step is bad exactly where base no longer comes to the right answer behind it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from drawings import drawing

from specreason_graph import Pair, Settings
from specreason_graph.judging.catalog import builtin
from specreason_graph.judging.policy import FittedPolicy, Provenance, Weight
from specreason_graph.models.presets import Preset
from specreason_graph.testing import Script, ScriptedServer, scripted_pair
from specreason_graph.testing.tokenizer import CLOSE
from specreason_graph.tools.bench.problems import Problem
from specreason_graph.tools.calibrate.chains import Chain, Chains

COWS = Problem("cows:0", "How many legs have 3 cows?", "12")
STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", "Now it is easy.", "So that is all."]
WRONG = ["There are 3 cows.", "3 * 4 = 11 legs.", "Now it is easy.", "So that is all."]


def follows(transcript: str, *, thinking: bool) -> str:
    """Base believes a number that is written, and answers with the last one when its reasoning is over."""
    wrong, over = "= 11 legs" in transcript, CLOSE in transcript
    box = f"\\boxed{{{3 if over and 'legs' not in transcript else 11 if wrong else 12}}}"
    steps = WRONG if wrong else STEPS
    script = Script(steps, answer=box) if thinking else Script([*steps, f"It is {box}."])
    return script.rest(transcript, thinking=thinking, opens=False)


def base(template: str, **more: Any) -> Script:
    return Script(lambda said: follows(said, thinking=template == "think"), **more)


def draft(template: str, steps: list[str] = WRONG) -> Script:
    """It says a wrong number, and the right answer in the end."""
    box = "\\boxed{12}"
    return Script(steps, answer=box) if template == "think" else Script([*steps, f"It is {box}."])


async def chain_of(
    base: Script | ScriptedServer,
    draft: Script | ScriptedServer,
    *,
    problem: Problem = COWS,
    template: Any = "instruct",
    judges: tuple[str, ...] = ("likelihood",),
    presets: tuple[Preset, ...] = (),
    policies: tuple[FittedPolicy, ...] = (),
) -> Chain:
    known = builtin().extended(presets, policies=policies)
    async with scripted_pair(base, draft, template=template) as servers, Pair(servers.config) as pair:
        return await Chains(pair, known, Settings(), [known.judge(name) for name in judges]).of(problem)


def drafted_behind(server: ScriptedServer) -> list[str]:
    """What stood behind the question when the draft was asked for each step."""
    spell = server.model.tokenizer.spell
    return [spell(prompt).decode().rpartition("assistant\n")[2] for r in server.completions for prompt in r.prompts]


@pytest.mark.parametrize("tokenizers", ["aa", "ab"])
@pytest.mark.parametrize("template", ["instruct", "think"])
async def test_a_step_is_bad_where_base_goes_wrong_behind_it_and_there_alone(template: Any, tokenizers: Any) -> None:
    """Base's own step takes its place: were the wrong one kept, every later step would be labelled bad, too."""
    servers = [
        ScriptedServer(script, tokenizer=name, template=template)
        for script, name in zip((base(template), draft(template)), tokenizers, strict=True)
    ]
    chain = await chain_of(*servers)
    steps = chain["steps"]
    assert (chain["problem"], chain["base_right"]) == ("cows:0", True)
    assert [step["text"].strip() for step in steps][:4] == WRONG
    assert [step["fine"] for step in steps] == [True, False, *[True] * (len(steps) - 2)]
    assert steps[1]["own"] == "3 * 4 = 12 legs.\n\n"
    for number, behind in enumerate(drafted_behind(servers[1])):
        assert behind.removeprefix("<think>\n") == "".join(f"{step}\n\n" for step in STEPS[:number])


async def test_places_and_agreement_are_those_of_the_step_in_its_chain() -> None:
    """`agreement` is what base's own version says of the result: None where there is none to compare."""
    chain = await chain_of(base("instruct"), draft("instruct"))
    found = [step["evidence"]["likelihood"] for step in chain["steps"]]
    assert [evidence["agreement"] for evidence in found] == [1, 0, None, None, 1]
    assert [(evidence["place"], evidence["ends"]) for evidence in found] == [(n, n == 4) for n in range(5)]


async def test_each_judge_gives_its_own_evidence_on_each_step() -> None:
    """One's spots and the other's labels, as each alone would have got them."""
    scores = {"= 11 legs": "2", "Now it": "7", "": "8"}
    asked = base("instruct", scores=lambda prompt: {next(scores[text] for text in scores if text in prompt): 0.8})
    chain = await chain_of(asked, draft("instruct"), judges=("likelihood", "paper"))
    for step, label in zip(chain["steps"], "82777", strict=True):
        by_spots, by_label = step["evidence"]["likelihood"], step["evidence"]["paper"]
        assert list(step["evidence"]) == ["likelihood", "paper"]
        assert by_spots["label_probs"] is None
        assert by_spots["spots"]
        assert by_label["spots"] is None
        assert by_label["label_probs"] == pytest.approx({label: 0.8})


@pytest.mark.parametrize("template", ["instruct", "think"])
async def test_a_step_that_ends_the_reasoning_too_early_is_bad(template: Any) -> None:
    """Nothing in it is wrong; base has to answer behind it, and must not reason on as if it were open."""
    chain = await chain_of(base(template), Script(STEPS[:1]), template=template)
    (step,) = chain["steps"]
    assert (step["text"], step["fine"]) == ("There are 3 cows.", False)
    assert step["evidence"]["likelihood"]["ends"]


async def test_a_problem_that_base_does_not_solve_has_no_steps() -> None:
    """Behind which a label would mean nothing; it still counts among the problems."""
    draft_server = ScriptedServer(draft("instruct"), template="instruct")
    problem = Problem("cows:1", COWS.text, "13")
    chain = await chain_of(base("instruct"), draft_server, problem=problem)
    assert chain == {"problem": "cows:1", "mark": problem.mark, "base_right": False, "steps": []}
    assert not draft_server.completions


async def test_a_round_of_a_loop_has_no_label() -> None:
    """No run would judge it; base's step takes its place, and the next is drafted behind that."""
    chain = await chain_of(base("instruct"), Script(lambda said: "There are 3 cows.\n\n"))
    assert [step["evidence"]["likelihood"]["place"] for step in chain["steps"]] == [0, 2, 4]


async def test_a_pair_can_be_calibrated_on_a_preset_whose_policy_is_another_pairs() -> None:
    """Calibrating is what the message of such a policy tells the user to do."""
    preset = builtin().presets["instruct"].model_copy(update={"policy": "of-others"})
    of_others = FittedPolicy(
        name="of-others",
        base_model="others",
        draft_model="others",
        preset="instruct",
        judge=builtin().judge("likelihood"),
        threshold=0.5,
        intercept=0.0,
        weights={"lowest": Weight(weight=1.0, mean=0.0)},
        provenance=Provenance(date="", version="", problems="", steps=9, bad=3, auroc=0.8, interval=(0.7, 0.9)),
    )
    chain = await chain_of(base("instruct"), draft("instruct"), presets=(preset,), policies=(of_others,))
    assert len(chain["steps"]) == 5


async def test_base_goes_on_with_the_image_before_it() -> None:
    """Guards labels: base that can't see would be wrong behind every step."""
    servers = [
        ScriptedServer(script, template="instruct", sees=True, scale_out=True, model=name)
        for name, script in (("scripted-base", base("instruct")), ("scripted-draft", draft("instruct")))
    ]
    chain = await chain_of(*servers, problem=replace(COWS, image=drawing("red")))
    assert chain["steps"]
    assert [len(server.completions) for server in servers] == [0, 0], "a prompt of text has lost the image"

"""A scripted model must be one function of the prompt: what it streams and what it is read as must agree."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest

from specreason_graph.testing import Script, tokenizer
from specreason_graph.testing.model import ScriptedModel
from specreason_graph.testing.template import TemplateName, render
from specreason_graph.testing.tokenizer import TokenizerName

SCRIPT = Script(
    ["There are 3 cows: 你好🙂.", "Therefore 3 * 4 = 12 unthinkable legs:", "So what is it?"],
    answer="It is \\boxed{12}.\n\nDone.",
)
QUESTION = [{"role": "user", "content": "How many legs?"}]
ALL = pytest.mark.parametrize(("name", "template"), list(itertools.product(["a", "b"], ["instruct", "think", "qwen3"])))


def said(model: ScriptedModel, prompt: Sequence[int], count: int | None = None) -> list[int]:
    return [token for token, _ in itertools.islice(model.speak(prompt), count)]


def opening(model: ScriptedModel) -> list[int]:
    return model.tokenizer.encode(render(model.template, QUESTION))


@ALL
def test_every_cut_goes_on_the_same_way(name: TokenizerName, template: TemplateName) -> None:
    """Guards resume, fork and overlap tests: cut after any token, the rest is the same ids."""
    model = ScriptedModel(tokenizer(name), template, SCRIPT)
    whole = said(model, opening(model))
    assert whole[-1] == model.end_of_turn
    for cut in range(len(whole)):
        assert said(model, [*opening(model), *whole[:cut]]) == whole[cut:]


@ALL
def test_a_prompt_cut_inside_a_token_or_character_ends_on_the_same_text(
    name: TokenizerName, template: TemplateName
) -> None:
    """Guards prompts whose ids are not the model's own: the text that comes out is the script's all the same."""
    model = ScriptedModel(tokenizer(name), template, SCRIPT)
    whole = model.tokenizer.spell(said(model, opening(model)))
    for cut in range(whole.index("🙂".encode()) + 6):
        prompt = [*opening(model), *(model.tokenizer.byte_ids[byte] for byte in whole[:cut])]
        assert whole[:cut] + model.tokenizer.spell(said(model, prompt)) == whole


def test_the_other_tokenizers_boundary_is_understood() -> None:
    """Guards ledgers whose steps were encoded alone: `b` ends a lone step with another id than inside a text."""
    model = ScriptedModel(tokenizer("b"), "instruct", Script(["One.", "Two."]))
    encoded_alone = model.tokenizer.encode("One.\n\n")
    assert encoded_alone != said(model, opening(model), len(encoded_alone))
    assert model.tokenizer.spell(said(model, [*opening(model), *encoded_alone])) == b"Two.<|im_end|>"


def test_probabilities_are_a_distribution() -> None:
    """Guards likelihood tests: shares as scripted, the rest spread evenly, top lists in order, all of it 1."""
    script = Script(["7 = 7."], confidence=0.8, alternatives={"8": 0.1})
    model = ScriptedModel(tokenizer("a"), "instruct", script)
    token, odds = next(model.speak(opening(model)))
    size = len(model.tokenizer.spelling)
    assert math.exp(odds.logprob(token)) == pytest.approx(0.8)
    assert sum(math.exp(odds.logprob(i)) for i in range(size)) == pytest.approx(1)
    assert [model.tokenizer.spelling[i] for i in odds.top(2)] == [b"7", b"8"]
    assert len(set(odds.top(size))) == size
    assert odds.logprob(odds.top(20)[-1]) == pytest.approx(math.log(0.1 / (size - 2)))


def test_confidence_may_depend_on_the_transcript() -> None:
    """Guards tests of unsure spots: the function sees the text before each token."""
    script = Script(["3 + 4 = 7."], confidence=lambda before, token: 0.3 if before.endswith("= ") else 0.9)
    model = ScriptedModel(tokenizer("a"), "think", script)
    unsure = [token for token, odds in model.speak(opening(model)) if odds.logprob(token) < math.log(0.5)]
    assert model.tokenizer.spell(unsure) == b"7"


@pytest.mark.parametrize("script", [Script(["7."], alternatives={"8": 0.95}), Script(["7."], confidence=0.001)])
def test_a_scripted_token_that_is_not_the_likeliest_is_refused(script: Script) -> None:
    """Guards greedy decoding: a model at temperature 0 can't say what is not its likeliest token."""
    model = ScriptedModel(tokenizer("a"), "instruct", script)
    with pytest.raises(ValueError, match="largest share"):
        next(model.speak(opening(model)))


def judged(model: ScriptedModel, prefill: str = "The score is: ") -> list[int]:
    turn = render(model.template, [{"role": "user", "content": "Score the last step."}])
    opened = "<think>\n" if model.template == "qwen3" else ""
    reasoning = f"{opened}There are 3 cows.\n\n"
    return model.tokenizer.encode(f"{render(model.template, QUESTION)}{reasoning}<|im_end|>\n{turn}{prefill}")


@ALL
def test_a_judges_request_is_answered_with_the_label(name: TokenizerName, template: TemplateName) -> None:
    """Guards judging: the verdict's distribution, then the end of turn."""
    model = ScriptedModel(tokenizer(name), template, Script(["Whatever."], scores=[{"7": 0.6, "8": 0.3}]))
    (label, odds), (end, _) = model.speak(judged(model))
    seven, eight = model.tokenizer.encode("78")
    assert (label, odds.top(2), end) == (seven, [seven, eight], model.end_of_turn)
    assert said(model, [*judged(model), seven]) == [model.end_of_turn]


def test_labels_may_be_missing() -> None:
    """Guards tests of judges that do not answer with a label."""
    model = ScriptedModel(tokenizer("a"), "instruct", Script(["Whatever."], scores=[{"Therefore": 0.9}]))
    _, odds = next(model.speak(judged(model)))
    assert not any(token in odds.top(20) for token in model.tokenizer.encode("0123456789"))


def test_a_mark_tells_judges_from_later_questions() -> None:
    """Guards conversations of several turns: only a marked request is a judge's."""
    script = Script(["There are 3 cows."], scores=[1], judge_mark="Score")
    model = ScriptedModel(tokenizer("a"), "instruct", script)
    assert said(model, judged(model), 1) == model.tokenizer.encode("1")
    history = [*QUESTION, {"role": "assistant", "content": "12"}, {"role": "user", "content": "And cows?"}]
    later = model.tokenizer.encode(render("instruct", history))
    assert model.tokenizer.spell(said(model, later)) == b"There are 3 cows.<|im_end|>"


def test_a_thinking_model_knows_later_questions() -> None:
    """Guards the same for thinking models: an earlier answer has no reasoning that could be judged."""
    model = ScriptedModel(tokenizer("a"), "think", Script(["There are 3 cows."], answer="3"))
    history = [*QUESTION, {"role": "assistant", "content": "<think>\nHm.</think>\n\n12"}, *QUESTION]
    later = model.tokenizer.encode(render("think", history))
    assert model.tokenizer.spell(said(model, later)).startswith(b"There are 3 cows.</think>")


def test_verdicts_may_depend_on_the_whole_prompt() -> None:
    """Guards tests that judge by what a step says, not by its number."""
    script = Script(["Whatever."], scores=lambda prompt: {"9" if "3 cows" in prompt else "1": 0.9})
    model = ScriptedModel(tokenizer("a"), "instruct", script)
    assert said(model, judged(model), 1) == model.tokenizer.encode("9")


def test_a_function_scripts_the_whole_turn() -> None:
    """Guards scripts of full freedom: control tokens it spells are control tokens, and its end ends the turn."""
    turn = "one one one </think>\n\n\nyes"
    model = ScriptedModel(tokenizer("a"), "think", Script(lambda transcript: turn[len(transcript) :]))
    ids = said(model, opening(model))
    assert model.tokenizer.spell(ids) == turn.encode() + b"<|im_end|>"
    assert model.tokenizer.id("</think>") in ids
    assert said(model, [*opening(model), *ids[:3]]) == ids[3:]


def test_a_prompt_without_turns_is_a_transcript() -> None:
    """Guards raw completions, such as those of a health check."""
    model = ScriptedModel(tokenizer("a"), "instruct", Script(["One two."]))
    assert model.tokenizer.spell(said(model, model.tokenizer.encode("One"))) == b" two.<|im_end|>"


@pytest.mark.parametrize("template", ["think", "qwen3"])
def test_each_question_has_its_own_script(template: TemplateName) -> None:
    """Guards tests of many runs at once: a text of another run's question is seen, by the judge's verdict, too."""
    cows = Script(["There are 3 cows."], answer="12", scores=[2])
    everything = Script(["So it is."], asked=lambda question: cows if "cows" in question else SCRIPT)
    model = ScriptedModel(tokenizer("a"), template, everything)
    asked, other = {"role": "user", "content": "How many cows?"}, {"role": "user", "content": "How many?"}

    def answer(*messages: dict[str, str]) -> str:
        prompt = model.tokenizer.encode(render(template, messages))
        return model.tokenizer.spell(said(model, prompt)).decode()

    assert "There are 3 cows." in answer(asked)
    assert "Therefore" in answer(other)
    assert "There are 3 cows." in answer(other, {"role": "assistant", "content": "42"}, asked)
    drafted = {"role": "assistant", "content": "<think>\nThere are 3 cows."}
    assert answer(asked, drafted, {"role": "user", "content": "Is it right?"}).startswith("2")

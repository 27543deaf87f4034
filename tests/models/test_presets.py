"""Presets and judges are data that fits together."""

import pytest

from specreason_graph.contract.errors import ConfigError
from specreason_graph.judging.catalog import builtin
from specreason_graph.models.presets import Judge, Preset

CATALOG = builtin()


@pytest.mark.parametrize("preset", CATALOG.presets.values(), ids=lambda preset: preset.name)
def test_a_preset_names_its_source_and_a_judge_whose_range_holds_its_threshold(preset: Preset) -> None:
    low, high = CATALOG.judge(preset.judge).bounds
    assert preset.source
    assert preset.threshold is None or low <= preset.threshold <= high
    assert all("{question}" in preset.wording(boxed).prompt for boxed in (True, False))
    assert preset.close
    assert bool(preset.open) == (preset.kind == "thinking")


BOXED = {
    "thinking": "{question}\nPlease reason step by step, and put your final answer within \\boxed{}.",
    "instruct": "{question}\n\nThink step by step. Put a blank line between steps. "
    "Put the final answer within \\boxed{}.",
}
"""What published figures were measured with."""


@pytest.mark.parametrize("preset", CATALOG.presets.values(), ids=lambda preset: preset.name)
def test_graded_problems_are_asked_in_the_words_that_published_figures_were_measured_with(preset: Preset) -> None:
    thinks = preset.kind == "thinking"
    cue, close = ("</think>\n\n", "</think>") if thinks else ("The final answer is ", "")
    assert preset.wording(boxed=True) == (BOXED[preset.kind], cue, close)


@pytest.mark.parametrize("preset", CATALOG.presets.values(), ids=lambda preset: preset.name)
def test_a_plain_question_is_asked_without_a_box(preset: Preset) -> None:
    wording = preset.wording(boxed=False)
    assert "boxed" not in wording.prompt + wording.answer_cue
    assert wording.answer_cue.startswith(wording.close)
    assert (wording.prompt == "{question}") == (preset.kind == "thinking")


def test_a_preset_without_words_for_a_box_has_one_wording() -> None:
    mine = Preset(name="mine", source="here", kind="instruct", prompt="Cook: {question}", answer_cue="Served: ")
    assert mine.wording(boxed=True) == mine.wording(boxed=False) == ("Cook: {question}", "Served: ", "")


@pytest.mark.parametrize("judge", CATALOG.judges.values(), ids=lambda judge: judge.name)
def test_a_judge_names_its_source_and_can_reach_its_threshold(judge: Judge) -> None:
    low, high = judge.bounds
    assert judge.source
    assert low <= judge.threshold <= high
    assert bool(judge.labels) == bool(judge.request) == (judge.kind == "labels")


@pytest.mark.parametrize(
    ("base", "draft", "name"),
    [
        ("Qwen/QwQ-32B", "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "qwq-32b+r1-1.5b"),
        ("Qwen/QwQ-32B", "Zyphra/ZR1-1.5B", "qwq-32b+zr1-1.5b"),
        ("Skywork/Skywork-OR1-32B", "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "skywork-or1-32b+r1-1.5b"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "r1-70b+r1-1.5b"),
        ("Qwen/Qwen3-32B", "Qwen/Qwen3-1.7B", "qwen3"),
        ("Qwen/Qwen3-VL-32B-Thinking", "Qwen/Qwen3-VL-2B-Thinking", "qwen3-vl-thinking"),
        ("Qwen/Qwen3-VL-30B-A3B-Instruct-FP8", "Qwen/Qwen3-VL-2B-Instruct", "qwen3-vl-instruct"),
        ("qwen2.5-coder-1.5b-instruct-q4_k_m", "qwen2.5-coder-0.5b-instruct-q4_k_m", "qwen2.5-coder"),
        ("qwen2.5-coder-0.5b-instruct-q4_k_m", "smollm2-135m-instruct-q4_1", "cross-tokenizer"),
    ],
)
def test_a_known_pair_finds_its_preset_by_its_models_names(base: str, draft: str, name: str) -> None:
    assert CATALOG.preset(None, base, draft).name == name


def test_an_unknown_pair_is_told_what_to_choose() -> None:
    with pytest.raises(ConfigError, match="`thinking` for models with a <think> block"):
        CATALOG.preset(None, "some-model", "another")


def test_a_users_own_preset_takes_part() -> None:
    mine = CATALOG.presets["thinking"].model_copy(update={"name": "mine", "base": "some-model"})
    assert CATALOG.extended([mine]).preset(None, "org/some-model-7b", "another").name == "mine"

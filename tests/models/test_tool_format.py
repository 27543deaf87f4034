"""A format of calls is data: what is given, what a model writes, and what can't be one."""

from typing import Any

import pytest
from pydantic import ValidationError

from specreason_graph.models.presets import Preset
from specreason_graph.models.tool_format import ToolFormat, builtin_formats

CALLS = [("add", {"a": 1, "b": "x"}), ("now", {})]


def test_calls_as_their_models_write_them() -> None:
    spelled = {name: builtin_formats()[name].spelled(CALLS) for name in ("deepseek", "hermes", "qwen3-coder")}
    assert spelled == {
        "deepseek": (
            '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{"a": 1, "b": "x"}<｜tool▁call▁end｜>'
            "<｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
        ),
        "hermes": (
            '<tool_call>\n{"name": "add", "arguments":{"a": 1, "b": "x"}}\n</tool_call>\n'
            '<tool_call>\n{"name": "now", "arguments":{}}\n</tool_call>'
        ),
        "qwen3-coder": (
            "<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\nx\n</parameter>\n</function>\n"
            "</tool_call>\n<tool_call>\n<function=now>\n</function>\n</tool_call>"
        ),
    }


def test_what_opens_a_call_is_the_mark_and_what_a_family_writes_in_its_place() -> None:
    """With a tool's name in it: JSON that is an answer opens none."""
    openings = builtin_formats()["qwen2.5-coder"].openings(["add", "now"])
    assert openings["<tool_call>"] == "<tool_call>"
    assert openings['{"name": "now"'] == '{"name": "'
    assert len(openings) == 1 + 2 * 5
    assert builtin_formats()["deepseek"].openings(["add"]) == {"<｜tool▁calls▁begin｜>": "<｜tool▁calls▁begin｜>"}


def test_no_calls_are_no_text() -> None:
    assert [it.spelled([]) for it in builtin_formats().values()] == [""] * len(builtin_formats())


@pytest.mark.parametrize(
    "values",
    [
        {"mark": "<call>", "call": "{name}{arguments}"},
        {"mark": "<call>", "call": "<call>{name}"},
        {"mark": "<call>", "call": "<call>{arguments}{name}"},
        {"mark": "<call>", "call": "<call>{name}{arguments}", "argument": "{value}={key}"},
        {"mark": "<call>", "call": "<call>{name}{arguments}", "also": ("{",)},
    ],
)
def test_what_can_not_be_written_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ToolFormat(name="x", source="", **values)


def test_a_preset_takes_a_format_or_the_name_of_one() -> None:
    own = ToolFormat(name="mine", source="", mark="<call>", call="<call>{name} {arguments}</call>")
    of = {"name": "p", "source": "", "kind": "thinking", "answer_cue": ""}
    assert Preset.model_validate({**of, "tool_format": own}).tool_format is own
    assert Preset.model_validate({**of, "tool_format": "deepseek"}).tool_format.opening == "<｜tool▁calls▁begin｜>"
    known = "known are deepseek, hermes, qwen2.5-coder, qwen3-coder"
    with pytest.raises(ValidationError, match=rf"there is no format 'nope'; {known}"):
        Preset.model_validate({**of, "tool_format": "nope"})

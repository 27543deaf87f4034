"""A format of calls is data: what is given, what a model writes, and what can't be one."""

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


def test_no_calls_are_no_text() -> None:
    assert [it.spelled([]) for it in builtin_formats().values()] == [""] * len(builtin_formats())


@pytest.mark.parametrize(
    "values",
    [
        {"mark": "<call>", "call": "{name}{arguments}"},
        {"mark": "<call>", "call": "<call>{name}"},
        {"mark": "<call>", "call": "<call>{arguments}{name}"},
        {"mark": "<call>", "call": "<call>{name}{arguments}", "argument": "{value}={key}"},
    ],
)
def test_what_can_not_be_written_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ToolFormat(name="x", source="", **values)


def test_a_preset_takes_a_format_or_the_name_of_one() -> None:
    own = ToolFormat(name="mine", source="", mark="<call>", call="<call>{name} {arguments}</call>")
    of = {"name": "p", "source": "", "kind": "thinking", "answer_cue": ""}
    assert Preset.model_validate({**of, "tool_format": own}).tool_format is own
    assert Preset.model_validate({**of, "tool_format": "deepseek"}).tool_format.opening == "<｜tool▁calls▁begin｜>"
    with pytest.raises(ValidationError, match="there is no format 'nope'; known are deepseek, hermes, qwen2.5-coder, qwen3-coder"):
        Preset.model_validate({**of, "tool_format": "nope"})

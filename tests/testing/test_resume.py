"""A script with calls goes on behind any part of them, whoever wrote that part."""

from __future__ import annotations

import pytest

from specreason_graph.testing import Script

ADD = '<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": [2, 3]}}\n</tool_call>'
SUB = '<tool_call>\n{"name": "sub", "arguments": {}}\n</tool_call>'
HERMES = f"I add.\n{ADD}\n{SUB}\nThat is all."
DEEPSEEK = (
    "I add.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{}<｜tool▁call▁end｜>"
    '<｜tool▁call▁begin｜>sub<｜tool▁sep｜>{"a": 1}<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
)
CODER = (
    "<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\ntwo words\n</parameter>\n"
    "</function>\n</tool_call>"
)


def rest(answer: str, said: str) -> str:
    return Script(["A.", "B."], answer=answer).rest(f"A.\n\nB.</think>\n\n{said}", thinking=True, opens=False)


@pytest.mark.parametrize("answer", [HERMES, DEEPSEEK, CODER], ids=["hermes", "deepseek", "coder"])
def test_an_answer_with_calls_may_be_cut_anywhere(answer: str) -> None:
    """Guards calls that a client reads from several requests."""
    for cut in range(len(answer) + 1):
        assert rest(answer, answer[:cut]) == answer[cut:]


def test_a_step_with_a_call_may_be_cut_anywhere() -> None:
    """Guards instruct models, and reasoning that a call ends."""
    script = Script(["A.", f"I add.\n{ADD}"], answer="never")
    whole = f"A.\n\nI add.\n{ADD}"
    for cut in range(len(whole) + 1):
        assert script.rest(whole[:cut], thinking=False, opens=False) == whole[cut:]
        assert script.rest(whole[:cut], thinking=True, opens=False).startswith(whole[cut:])


@pytest.mark.parametrize(
    ("said", "begins"),
    [
        ('<tool_call>\n{"name": "', 'add", '),
        ('<tool_call>{"name":"', 'add", '),
        ('<tool_call>{"name":"add","arguments":', ' {"a": 1'),
        ('<tool_call>\n{"name": "other", "arguments": ', '{"a": 1'),
        ('<tool_call>\n{"name": "other", "arguments": {"a": 1,', ' "b": [2'),
        ('<tool_call>\n{"name": "add", "arguments": {"q": 0}', "}\n</tool_call>\n<tool_call>"),
        ('<tool_call>\n{"name": "add", "arguments": {"q": 0}}\n</tool_call>', '\n<tool_call>\n{"name": "sub"'),
        (f'{ADD}<tool_call>{{"name":"', 'sub", "arguments": {}}\n</tool_call>\nThat'),
        (f"{ADD}\n{SUB}", "\nThat is all."),
        (f"{ADD}\n{SUB}\n{ADD}", ""),
    ],
)
def test_markup_by_the_client_is_gone_on_from(said: str, begins: str) -> None:
    """Guards calls whose markup is put in by a client: the model knows whether a name or arguments come next."""
    left = rest(HERMES, said)
    assert left.startswith(begins)
    assert begins or not left


@pytest.mark.parametrize(
    ("answer", "said", "begins"),
    [
        (DEEPSEEK, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>", "add<"),
        (DEEPSEEK, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>other<｜tool▁sep｜>", "{}<"),
        (DEEPSEEK, '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{"q": 0}', "<｜tool▁call▁end｜>"),
        (DEEPSEEK, "<｜tool▁call▁begin｜>x<｜tool▁call▁end｜><｜tool▁call▁begin｜>", "sub<"),
        (CODER, "<tool_call>\n<function=", "add>"),
        (CODER, "<tool_call>\n<function=other>\n<parameter=", "a>"),
        (CODER, "<tool_call>\n<function=add>\n<parameter=b>\n", "two words\n</parameter>"),
        (CODER, "<tool_call>\n<function=add>\n<parameter=a>\n7\n</parameter>\n<parameter=", "b>\ntwo"),
        (CODER, "<tool_call>\n<function=add>\n<parameter=c>\n7\n</parameter>\n</function>\n</tool_call>", ""),
    ],
)
def test_other_formats_are_gone_on_from(answer: str, said: str, begins: str) -> None:
    """Guards the same in formats that are text to the tokenizer."""
    left = rest(answer, said)
    assert left.startswith(begins)
    assert begins or not left


def test_a_call_that_the_script_lacks_ends_the_turn() -> None:
    """Guards calls that a client forces: nothing is made up behind them."""
    assert rest("It is 3.", f"{ADD}") == ""


def test_a_call_moved_behind_the_reasoning_is_that_of_the_steps() -> None:
    """Guards clients that close the reasoning where a call begins inside it."""
    script = Script(["A.", ADD], answer="never")
    left = script.rest('A.\n\n</think>\n\n<tool_call>\n{"name": "', thinking=True, opens=False)
    assert left.startswith('add", "arguments": {"a": 1')

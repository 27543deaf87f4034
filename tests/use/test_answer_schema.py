"""Answers in a schema: whole or an error that says why, and a schema that reaches the server as it was written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired

import pytest
from chat import DRAFT, QUESTION, STEPS, offline, served
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel, Field, field_validator
from typing_extensions import TypedDict

from specreason_graph import ConfigError, Settings, SpecReasonError
from specreason_graph.contract.errors import MalformedResponse
from specreason_graph.testing import Fault, Script
from specreason_graph.use.answer_schema import AnswerCut, AnswerError, as_json_schema, parsed


class Legs(BaseModel):
    """The legs."""

    legs: int
    animal: str | None = None


class LegsDict(TypedDict):
    """The legs."""

    legs: Annotated[int, ..., "how many"]
    animal: NotRequired[str]


class Report(BaseModel):
    findings: list[str] = Field(default_factory=list)
    evacuate: bool | None = None


class ReportDict(TypedDict):
    findings: list[str]
    evacuate: NotRequired[bool]


@dataclass
class ReportOf:
    findings: list[str]
    evacuate: bool | None = None


class CowLegs(BaseModel):
    legs: int

    @field_validator("legs")
    @classmethod
    def _four_each(cls, legs: int) -> int:
        if legs % 4:
            raise ValueError("a cow has four")
        return legs


class Node(BaseModel):
    name: str = Field(min_length=2, max_length=5, pattern="^[a-z]+$")
    weight: int = Field(ge=0, le=10)
    children: list[Node] = []


class NodeDict(TypedDict):
    name: str
    children: list[NodeDict]


REPORT = '{"findings": ["the bridge is cracked", "the road is closed"], "evacuate": true}'


@pytest.mark.parametrize("template", ["think", "instruct"])
async def test_an_answer_in_a_schema_is_written_in_a_phase_of_its_own(template: Any) -> None:
    """The reasoning stays free: only the answer's request carries the schema."""
    base = Script(STEPS, answer='{"legs": 12}', cue="this schema: ", scores=[9, 3, 9])
    async with served(base, DRAFT, template=template, settings=Settings(judge="paper")) as (model, servers):
        found = await model.with_structured_output(Legs).ainvoke(QUESTION)
        partial = [it async for it in model.with_structured_output(LegsDict).astream(QUESTION)]
        raw = await model.with_structured_output(Legs.model_json_schema(), include_raw=True).ainvoke(QUESTION)
    assert found == Legs(legs=12)
    assert partial[-1] == raw["parsed"] == {"legs": 12}
    assert raw["raw"].additional_kwargs["reasoning_content"] == "\n\n".join(STEPS)
    sent = [record.body.get("structured_outputs") for record in servers.base.completions]
    assert len([it for it in sent if it]) == 3
    assert json.dumps(sent[-1]).count('"animal"') == 1
    assert not any("structured_outputs" in record.body for record in servers.draft.completions)


async def test_the_answer_is_told_the_schema_it_has_to_keep_to() -> None:
    """A grammar forces the names, but not what they mean."""
    async with served(Script(STEPS, answer='{"legs": 12}')) as (model, servers):
        await model.with_structured_output(Legs).ainvoke(QUESTION)
        prompt = servers.base.model.tokenizer.spell(servers.base.completions[-1].prompts[0]).decode()
    cue = prompt.rpartition("</think>")[2]
    schema = json.loads(cue.partition("schema: ")[2])
    assert schema["description"] == "The legs."


async def test_a_server_that_ignores_a_schema_is_found_out() -> None:
    """vLLM answers 200 to fields that it does not know."""
    async with served(Script(STEPS, answer="12 legs")) as (model, servers):
        servers.base.fail(Fault("ignores_structured_outputs"), times=9)
        with pytest.raises(MalformedResponse, match="does not hold to answer_schema"):
            await model.with_structured_output(Legs).ainvoke(QUESTION)


async def test_an_answer_that_goes_in_circles_names_what_cut_it() -> None:
    """More budget would be more of the same."""
    report = json.dumps({"findings": ["the bridge over the river is cracked"] * 90, "evacuate": True})
    async with served(Script(STEPS, answer=report)) as (model, _):
        with pytest.raises(AnswerCut, match=r"^loop_detection: the answer went in circles, .* after \d+ tokens[^\n]*$"):
            await model.with_structured_output(Report, answer_budget=2000).ainvoke(QUESTION)


@pytest.mark.parametrize("tokens", [1, 20, 30, 40, 60])
@pytest.mark.parametrize("schema", [Report, Report.model_json_schema(), ReportDict, ReportOf])
async def test_an_answer_that_was_cut_is_no_answer(schema: Any, tokens: int) -> None:
    """Wherever it was cut: a parser of partial JSON would close what is open, and leave out what is missing."""
    async with served(Script(STEPS, answer=REPORT)) as (model, _):
        whole = await model.with_structured_output(schema).ainvoke(QUESTION)
        short = model.with_structured_output(schema)
        with pytest.raises(AnswerCut, match=rf"^answer_budget: the answer ended after {tokens} tokens[^\n]*$") as error:
            await short.ainvoke(QUESTION, answer_budget=tokens)
        with pytest.raises(AnswerCut):
            async for _ in short.astream(QUESTION, max_tokens=tokens):
                pass
        raw = await model.with_structured_output(schema, include_raw=True, answer_budget=tokens).ainvoke(QUESTION)
    assert (whole if isinstance(whole, dict) else vars(whole)) == json.loads(REPORT)
    assert isinstance(error.value, SpecReasonError)
    assert isinstance(error.value, OutputParserException)
    assert error.value.llm_output == raw["raw"].text
    assert REPORT.startswith(raw["raw"].text)
    assert raw["parsed"] is None
    assert isinstance(raw["parsing_error"], AnswerCut)
    assert raw["raw"].response_metadata["finish_reason"] == "length"


async def test_a_number_that_was_cut_is_no_smaller_number() -> None:
    async with served(Script(STEPS, answer='{"legs":   1234567}')) as (model, _):
        for tokens in (9, 12, 14, 17, 18):
            with pytest.raises(AnswerCut):
                await model.with_structured_output(Legs).ainvoke(QUESTION, max_tokens=tokens)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ('{"legs": 13}', "legs: a cow has four"),
        ('{"legs": NaN}', "NaN is no JSON"),
        ('{"legs": 12', "Expecting"),
    ],
)
def test_what_only_the_model_knows_is_checked_afterwards(answer: str, says: str) -> None:
    reply: Any = RunnableLambda(lambda _: AIMessage(answer, response_metadata={"finish_reason": "stop"}))
    with pytest.raises(AnswerError, match=rf"^the answer is not of the schema: [^\n]*{says}[^\n]*$") as error:
        parsed(reply, CowLegs, include_raw=False).invoke("?")
    assert error.value.llm_output == answer


async def test_a_reply_that_calls_has_no_answer() -> None:
    call = '<tool_call>\n{"name": "price", "arguments": {}}\n</tool_call>'
    async with served(Script(STEPS, answer=call)) as (model, _):
        asking = model.with_structured_output(Legs, include_raw=True, tools=[{"name": "price", "input_schema": {}}])
        raw = await asking.ainvoke(QUESTION)
    assert raw["parsed"] is raw["parsing_error"] is None
    assert [call["name"] for call in raw["raw"].tool_calls] == ["price"]


async def test_a_recursive_schema_reaches_the_server_whole() -> None:
    tree = '{"name": "root", "weight": 1, "children": [{"name": "leaf", "weight": 2, "children": []}]}'
    async with served(Script(STEPS, answer=tree)) as (model, servers):
        found = await model.with_structured_output(Node).ainvoke(QUESTION)
        sent = servers.base.completions[-1].body["structured_outputs"]["json"]
        formed = await model.ainvoke(QUESTION, response_format=Node)
    assert found.children[0].name == "leaf"
    assert sent == Node.model_json_schema()
    assert json.loads(formed.text) == json.loads(tree)


def test_schemas_are_whole_and_described() -> None:
    assert as_json_schema(Node)["$defs"]["Node"]["properties"]["name"]["pattern"] == "^[a-z]+$"
    assert as_json_schema(NodeDict)["$defs"]["NodeDict"]["properties"]["children"]["items"] == {
        "$ref": "#/$defs/NodeDict"
    }
    legs = as_json_schema(LegsDict)
    assert (legs["description"], legs["required"]) == ("The legs.", ["legs"])
    assert legs["properties"]["legs"]["description"] == "how many"
    tool: dict[str, Any] = {
        "name": "count",
        "description": "Count.",
        "parameters": {"type": "object", "properties": {"n": {}}},
    }
    assert as_json_schema(tool) == {"title": "count", "description": "Count.", **tool["parameters"]}
    choice = {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert as_json_schema(choice) == choice


@pytest.mark.parametrize("schema", [{"legs": "int"}, int, "Legs", None, lambda legs: legs, [Legs]])
def test_what_is_no_schema_is_told_in_one_line(schema: Any) -> None:
    with pytest.raises(ConfigError, match=r"^with_structured_output: [^\n]*$"):
        offline().with_structured_output(schema)


def test_settings_beside_a_schema_are_checked_at_once() -> None:
    with pytest.raises(ConfigError, match="thresholt"):
        offline().with_structured_output(Legs, thresholt=4)

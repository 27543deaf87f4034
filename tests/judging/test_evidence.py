"""The draft's least sure tokens found again in base's tokens, by the characters of text that they share."""

from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from specreason_graph import Pair, Settings, create_specreason
from specreason_graph.contract.state import WrittenStep
from specreason_graph.endpoint.protocol import Encoded
from specreason_graph.judging.evidence import aligned
from specreason_graph.testing import Script, scripted_pair


def written(pieces: dict[str, float]) -> WrittenStep:
    texts = list(pieces)
    starts = [sum(map(len, texts[:n])) for n in range(len(texts))]
    return WrittenStep(
        text="".join(texts),
        ids=list(range(len(texts))),
        logprobs=list(pieces.values()),
        starts=starts,
        cut=False,
        loops=False,
        closes=False,
        closing=None,
        ended_with=None,
        cached_tokens=None,
        seconds=0.0,
    )


def test_a_base_token_is_as_unsure_as_the_least_sure_drafted_one_under_it() -> None:
    drafted = written({"2 * ": -0.1, "5 =": -0.3, " 1": -4.0, "2": -0.5, ".": -0.6})
    tokens = aligned(drafted, Encoded([7, 8, 9], ["2 * 5 =", " 12", "."]))
    assert [(t.text, t.logprob) for t in tokens] == [("2 * 5 =", -0.3), (" 12", -4.0), (".", -0.6)]


def test_many_base_tokens_may_share_a_drafted_one() -> None:
    tokens = aligned(written({"twelve": -2.0, " legs": -0.1}), Encoded([1, 2, 3], ["twe", "lve", " legs"]))
    assert [(t.text, t.logprob) for t in tokens] == [("twe", -2.0), ("lve", -2.0), (" legs", -0.1)]


def test_tokens_inside_a_character_share_it() -> None:
    """One model writes a character as one token, the other as several, of which only the last has a text."""
    tokens = aligned(written({"é=": -1.0, "漢": -3.0, "!": -0.1}), Encoded([1, 2, 3, 4], ["é=", "", "漢", "!"]))
    assert [t.logprob for t in tokens] == [-1.0, -3.0, -3.0, -0.1]
    halves = written({"So ": -0.2, "漢": -3.0, "!": -0.1})
    halves["ids"], halves["starts"], halves["logprobs"] = [1, 2, 3, 4], [0, 3, 3, 4], [-0.2, -5.0, -3.0, -0.1]
    tokens = aligned(halves, Encoded([1, 2, 3], ["So", " 漢", "!"]))
    assert [(t.text, t.logprob) for t in tokens] == [("So", -0.2), (" 漢", -5.0), ("!", -0.1)]


async def test_a_run_may_be_resumed_without_the_call_that_its_drafted_step_opened() -> None:
    """The prompt is the same: both models know the tools, whether or not they may be called."""
    tool = {"type": "function", "function": {"name": "now", "description": "The time."}}
    script, thread = Script(['<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>']), {"thread_id": "1"}
    config: Any = {"configurable": thread}
    async with scripted_pair(script, script) as servers, Pair(servers.config) as pair:
        loop = create_specreason(pair=pair, settings=Settings(judge="likelihood", tools=(tool,)))
        graph = loop.compile(checkpointer=InMemorySaver(), interrupt_before=["judge"])
        state: Any = await graph.ainvoke({"messages": [HumanMessage("?")]}, config)
        assert state["specreason_pending"]["drafted"]["ended_with"] == "<tool_call>"
        state = await graph.ainvoke(None, config, context=Settings(tool_choice="none"))
    assert not state["messages"][-1].tool_calls

"""What a run came to: how much of what was kept the draft wrote, by steps and by tokens."""

from typing import cast

import pytest
from langchain_core.messages import HumanMessage

from specreason_graph import Pair, create_specreason
from specreason_graph.contract.state import Step
from specreason_graph.loop.report import acceptance, draft_share
from specreason_graph.testing import Script, ScriptedServer, scripted_pair

STEPS = ["Three cows have four legs each, which is the number to add up.", "3 * 4 = 12.", "So 12."]


@pytest.mark.parametrize("tokenizer", ["a", "b"])
async def test_the_share_by_the_draft_is_counted_in_bases_tokens(tokenizer: str) -> None:
    """Whatever tokens the draft has: as the ids of the kept steps in base's ledger, and as the reply tells it."""
    base = ScriptedServer(Script(STEPS, answer="12", scores=[9, 3, 9]), template="think", model="base")
    draft = ScriptedServer(Script(STEPS), template="think", tokenizer=tokenizer, model="draft")  # type: ignore[arg-type]
    async with scripted_pair(base, draft) as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair).compile()
        state = await graph.ainvoke({"messages": [HumanMessage("How many legs have 3 cows?")]})
    steps = state["specreason_steps"]
    assert [step["source"] for step in steps] == ["draft", "base", "draft"]
    kept = [len(step["ids"]["base"]) for step in steps]
    assert draft_share(steps) == (kept[0] + kept[2]) / sum(kept) > 2 / 3
    assert acceptance(steps) == (2, 3)
    told = state["messages"][-1].response_metadata["specreason"]
    assert (told["acceptance_rate"], told["draft_share"]) == (2 / 3, draft_share(steps))


def step(source: str, tokens: int, base_tokens: int = 0) -> Step:
    return cast(Step, {"source": source, "tokens": tokens, "base_tokens": base_tokens})


def test_what_was_drafted_in_vain_or_written_by_a_person_is_no_part_of_the_share() -> None:
    assert draft_share([step("draft", 10), step("base", 100, 30), step("human", 50)]) == 0.25
    assert draft_share([step("human", 50)]) is None
    assert draft_share([]) is None

"""Steps end at blank lines, whichever line ends a draft writes."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from specreason_graph import Pair, Settings, create_specreason
from specreason_graph.endpoint.protocol import boundaries
from specreason_graph.testing import Script, ScriptedServer, scripted_pair

STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", "So 12."]


def writes(ends: str) -> Script:
    """All that is still to be written, with blank lines of this kind."""
    whole = ends.join(STEPS) + "</think>\n\n12"
    return Script(lambda so_far: whole.removeprefix(so_far) if whole.startswith(so_far) else "")


@pytest.mark.parametrize("tokenizer", ["a", "b"])
@pytest.mark.parametrize("ahead", [True, False], ids=["ahead", "sequential"])
@pytest.mark.parametrize("ends", ["\n\n", "\r\n\r\n"], ids=["lf", "crlf"])
async def test_a_step_ends_at_a_blank_line(ends: str, ahead: bool, tokenizer: Any) -> None:
    servers = [ScriptedServer(writes(ends), template="think", tokenizer=it) for it in ("a", tokenizer)]
    async with scripted_pair(*servers, template="think") as running, Pair(running.config) as pair:
        settings = Settings(look_ahead=ahead, hedge=ahead)
        state = (
            await create_specreason(pair=pair, settings=settings).compile().ainvoke({"messages": [HumanMessage("?")]})
        )
    assert [step["text"].strip() for step in state["specreason_steps"]] == STEPS
    assert "".join(step["text"] for step in state["specreason_steps"]) == ends.join(STEPS)


@pytest.mark.parametrize(("boundary", "found"), [("\n\n", ["\n\n", "\n\r\n"]), (". ", [". "]), ("\n", ["\n"])])
def test_one_text_is_sent_for_each_kind_of_line_end(boundary: str, found: list[str]) -> None:
    assert boundaries(boundary) == found

"""Runs with images, counted to the token, and with what else may stand in a conversation."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler

from specreason_graph import Settings, create_specreason
from specreason_graph.testing.inference import INFERENCE

from .test_images import RED, pair_of, server, shown
from .test_tracing import Tracer, below, tokens

ROLES = {"draft": "draft", "judge": "judge", "regenerate": "base"}


@pytest.mark.parametrize("judge", ["paper", "likelihood"])
@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("answer_by", ["base", "draft"])
async def test_tokens_of_images_are_counted_in_every_request(judge: str, overlap: bool, answer_by: Any) -> None:
    """Also in those that are cut, whose usage no server tells; and callbacks are told of all that is paid."""
    tracer = Tracer()
    listening: list[BaseCallbackHandler] = [tracer]
    settings = Settings(judge=judge, look_ahead=overlap, hedge=overlap, answer_by=answer_by)
    async with pair_of(server("base"), server("draft")) as (servers, pair):
        graph = create_specreason(pair=pair, settings=settings).compile()
        state = await graph.ainvoke({"messages": [shown(RED)]}, {"callbacks": listening})
        sent: dict[str, int] = {}
        for it in (servers.base, servers.draft):
            asked = [record for record in it.requests if record.path == INFERENCE][1:]  # without the black square
            sent[it.config.model or ""] = sum(len(prompt) for record in asked for prompt in record.prompts)
    usage, told = state["specreason_usage"], list(below(tracer.root))
    names = {"base": "scripted-base", "draft": "scripted-draft"}
    assert usage["draft"]["prompt_tokens"] == sent["scripted-draft"]
    assert usage["base"]["prompt_tokens"] + usage["judge"]["prompt_tokens"] == sent["scripted-base"]
    for role, counts in usage.items():
        of_role = {**ROLES, "answer": answer_by}
        paid = [
            tokens(run)
            for run in told
            if of_role.get(run.name) == role
            or (run.name == "look" and names.get(role) == run.extra["metadata"]["ls_model_name"])
        ]
        assert (counts["prompt_tokens"], counts["completion_tokens"]) == tuple(map(sum, zip(*paid, strict=True)))

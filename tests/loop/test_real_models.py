"""The whole loop on real pretrained models: what scripted servers can't promise."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from specreason_graph import Pair, PairConfig, Settings, create_specreason
from specreason_graph.contract.state import SpecReasonState
from specreason_graph.judging.catalog import builtin
from specreason_graph.judging.scoring import decide_by_likelihood
from specreason_graph.models.embedded import embedded_pair
from specreason_graph.models.weights import PairFiles, pull

pytestmark = [pytest.mark.real_models, pytest.mark.timeout(300)]

QUESTION = "A box holds 12 eggs. How many eggs are in 5 boxes, when 7 eggs are broken and taken out?"
SHORT = {"reasoning_budget": 160, "answer_budget": 48, "step_tokens": 64}


@pytest.fixture(scope="module")
def cross_tokenizer() -> Iterator[PairConfig]:
    with embedded_pair(pull("cross-tokenizer"), context=2048) as config:
        yield config


async def run(config: PairConfig, **settings: Any) -> SpecReasonState:
    async with Pair(config) as pair:
        graph = create_specreason(pair=pair).compile()
        chosen = Settings(**{**SHORT, **settings})
        state: Any = await graph.ainvoke({"messages": [HumanMessage(QUESTION)]}, context=chosen)
        return state  # type: ignore[no-any-return]


async def test_two_tokenizers_reason_to_an_answer(cross_tokenizer: PairConfig) -> None:
    state = await run(cross_tokenizer)
    assert state["specreason_answer"]
    judged = [step for step in state["specreason_steps"] if step["spots"] is not None]
    assert judged
    for step in judged:
        assert 0 < len(step["spots"] or []) <= 13
        assert all(spot["base_logprob"] <= 0 for spot in step["spots"] or [])
        assert step["cached_tokens"]["judge"] is not None


async def test_a_recorded_step_can_be_judged_again(cross_tokenizer: PairConfig) -> None:
    """The record holds all that the decision was made of."""
    state = await run(cross_tokenizer, seed=3)
    for step in state["specreason_steps"]:
        if step["spots"] is not None:
            lowest = builtin().judge("likelihood").lowest
            again = decide_by_likelihood(step["spots"], threshold=step["threshold"], lowest=lowest)
            assert again == (step["accepted"], step["score"], step["reject_reason"])


async def test_the_papers_judge_gives_labels(cross_tokenizer: PairConfig) -> None:
    """Its request, its pre-fill, on a template that it was not written for."""
    state = await run(cross_tokenizer, judge="paper")
    judged = [step for step in state["specreason_steps"] if step["label_probs"]]
    assert judged
    assert all(0 < (step["label_mass"] or 0) <= 1.001 for step in judged)
    assert all(set(step["label_probs"] or {}) <= set("0123456789") for step in judged)


async def test_runs_at_the_same_time_each_keep_their_prefix_cache() -> None:
    """Three runs on three slots: without a slot of its own a run would read its whole ledger anew for every step."""
    questions = [f"What is {n} + {n + 7}? And then times {n}?" for n in (12, 31, 54)]
    with embedded_pair(pull("cross-tokenizer"), context=1024, threads=1, slots=3) as config:
        async with Pair(config) as pair:
            chosen = Settings(**SHORT)
            graph = create_specreason(pair=pair, settings=chosen).compile()
            states: list[Any] = await asyncio.gather(
                *(graph.ainvoke({"messages": [HumanMessage(q)]}) for q in questions)
            )
    for state in states:
        judge, draft = state["specreason_usage"]["judge"], state["specreason_usage"]["draft"]
        assert judge["requests"]
        # New are the question, once, and what was drafted.
        assert judge["prompt_tokens"] - judge["cached_tokens"] <= 100 + draft["completion_tokens"]


async def test_a_model_finds_its_own_tokens_as_likely_as_it_said() -> None:
    """One model in both roles: each asked token's log-probability must be the draft's own, spot by spot."""
    file = pull("cross-tokenizer").base
    with embedded_pair(PairFiles(file, file), preset="instruct", context=2048) as config:
        state = await run(config, judge="likelihood", threshold=-8.0, temperature=0.0)
    spots = [spot for step in state["specreason_steps"] for spot in step["spots"] or []]
    assert len(spots) >= 12
    for spot in spots:
        assert spot["draft_logprob"] is not None
        # A quantised model's logits shift a little with the batch that a prompt is read in.
        assert spot["base_logprob"] == pytest.approx(spot["draft_logprob"], abs=0.35)
    assert all(step["accepted"] for step in state["specreason_steps"])

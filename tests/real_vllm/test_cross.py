"""The graph on two real vLLM servers with two tokenizers: Qwen2.5-Coder-0.5B is base, SmolLM2-135M drafts."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import pytest
from langchain_core.messages import HumanMessage

from specreason_graph import Pair, PairConfig, Settings, create_specreason
from specreason_graph.contract.state import SpecReasonState
from specreason_graph.judging.catalog import builtin
from specreason_graph.judging.scoring import label_distribution
from specreason_graph.models.embedded import embedded_pair
from specreason_graph.models.weights import pull

from .servers import BLOCK

pytestmark = [pytest.mark.real_vllm, pytest.mark.timeout(900)]

QUESTION = "A box holds 12 eggs. How many eggs are in 5 boxes, when 7 eggs are broken and taken out?"
SHORT: dict[str, Any] = {"reasoning_budget": 160, "answer_budget": 32, "step_tokens": 48}
IN_TURN = {"look_ahead": False, "hedge": False}


@pytest.fixture
async def pair(vllm_pair: PairConfig) -> AsyncIterator[Pair]:
    async with Pair(vllm_pair) as it:
        yield it


async def run(pair: Pair, question: str = QUESTION, **settings: Any) -> SpecReasonState:
    chosen = Settings(**{**SHORT, **settings})
    graph = create_specreason(pair=pair, settings=chosen).compile()
    state: Any = await graph.ainvoke({"messages": [HumanMessage(question)]})
    return state  # type: ignore[no-any-return]


async def metric(config: PairConfig, name: str, **labels: str) -> float:
    """The sum of a metric of the base server's, over the series that have these labels."""
    async with aiohttp.ClientSession() as client, client.get(f"{config.base.base_url}/metrics") as response:
        lines = (await response.text()).splitlines()
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    series = [line for line in lines if line.startswith(name) and all(label in line for label in wanted)]
    assert series, f"the server has no metric {name}"
    return sum(float(line.rpartition(" ")[2]) for line in series)


async def test_reasoning_reaches_an_answer(pair: Pair) -> None:
    """Overlap is on, as it is by default: every kept step has its ids in both models' tokens, and its evidence."""
    state = await run(pair, threshold=-8.0)
    assert state["specreason_answer"]
    for step in state["specreason_steps"]:
        assert {"base", "draft"} <= step["ids"].keys()
        assert step["accepted"] is None or step["spots"] or step["reject_reason"] in ("empty", "loop")
    texts = await asyncio.gather(*(pair.base.decode(step["ids"]["base"]) for step in state["specreason_steps"]))
    for text, step in zip(texts, state["specreason_steps"], strict=True):
        assert text == step["text"]


async def test_the_prefix_is_reused_to_the_block(pair: Pair) -> None:
    """Of a judge's prompt, step, request and two blocks are computed at most; of a step's prompt, two blocks."""
    question = QUESTION + " Think about each box on its own, and about the eggs that are broken." * 12
    state = await run(pair, question, judge="paper", threshold=0, **IN_TURN)
    request = await pair.judge_request(builtin().judge("paper"), builtin().preset("cross-tokenizer", "", ""))
    judged = [step for step in state["specreason_steps"] if step["judge_tokens"]]
    assert len(judged) >= 2
    for step in judged[1:]:
        cached = step["cached_tokens"]["judge"]
        assert cached is not None
        computed = step["judge_tokens"] - cached
        assert computed <= len(step["ids"]["base"]) + len(request.suffix) + 2 * BLOCK
        assert cached >= BLOCK


async def until_running(config: PairConfig, condition: Callable[[float], bool]) -> None:
    """Ask the server again until so many requests run there as wanted."""
    for _ in range(200):
        if condition(await metric(config, "vllm:num_requests_running")):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("waited in vain")


async def test_a_cancelled_run_stops_generating(pair: Pair, vllm_pair: PairConfig) -> None:
    """Seen in the server's own metrics: nothing runs any more, and no further token is generated."""
    running = asyncio.create_task(run(pair, threshold=0.0, reasoning_budget=1000))
    await until_running(vllm_pair, lambda requests: requests > 0)
    running.cancel()
    await asyncio.wait({running})
    await until_running(vllm_pair, lambda requests: requests == 0)
    generated = await metric(vllm_pair, "vllm:generation_tokens_total")
    await asyncio.sleep(1)
    assert await metric(vllm_pair, "vllm:generation_tokens_total") == generated


async def test_four_runs_at_once_are_the_runs_that_they_are_alone(pair: Pair) -> None:
    """No run gets another one's steps: each question's own numbers come back in its reasoning."""
    questions = [f"How many legs have {cows} cows?" for cows in (13, 27, 41, 68)]
    states = await asyncio.gather(*(run(pair, question, threshold=0.0) for question in questions))
    for cows, state in zip((13, 27, 41, 68), states, strict=True):
        assert str(cows) in "".join(step["text"] for step in state["specreason_steps"])


async def test_unicode_and_steps_cut_at_their_cap(pair: Pair) -> None:
    """Ids and texts stay together where a cut falls into a character, and boundaries are stop strings still."""
    question = "Translate to Chinese and to emojis, one step a line: three cows, 你好 🙂 naïve café."
    state = await run(pair, question, step_tokens=7, threshold=-30.0, reasoning_budget=60)
    steps = state["specreason_steps"]
    assert any(step["cut"] for step in steps)
    assert not any("\ufffd" in step["text"] for step in steps)
    for step in steps:
        assert await pair.base.decode(step["ids"]["base"]) == step["text"]


@pytest.fixture(scope="module")
def under_llama_cpp() -> Iterator[PairConfig]:
    with embedded_pair(pull("cross-tokenizer"), context=2048) as config:
        yield config


@pytest.mark.parametrize("name", ["paper", "yes-no", "strict"])
async def test_the_judges_distribution_is_llama_cpps(pair: Pair, under_llama_cpp: PairConfig, name: str) -> None:
    """One model, one prompt, two engines.

    vLLM has the 4-bit weights unpacked to bfloat16 and multiplies in it; llama.cpp multiplies the packed weights by
    activations of 8 bits. Logits differ by some tenths by that, and a probability p by up to that times p(1-p): 0.15
    in total variation is what two renderings of the same model may differ in, and a wrong prompt or label does not.
    """
    judge = builtin().judge(name)
    found = []
    async with Pair(under_llama_cpp) as other:
        for it in (pair, other):
            preset = builtin().preset("cross-tokenizer", "", "")
            question = await it.base.render([{"role": "user", "content": QUESTION}], {})
            step = await it.base.encode("Each box holds 12 eggs, so 5 boxes hold 5 * 12 = 60 eggs.\n\n")
            request = await it.judge_request(judge, preset)
            prompt = [*question, *step.ids, *request.suffix]
            reading = (await it.base.read([prompt])).items[0]
            found.append((prompt, label_distribution(reading, request.labels)[0]))
    (one_prompt, one), (other_prompt, two) = found
    assert one_prompt == other_prompt
    variation = sum(abs(one.get(label, 0.0) - two.get(label, 0.0)) for label in judge.labels) / 2
    assert variation <= 0.15
    assert sum(one.values()) > 0.05


def test_doctor_finds_nothing_wrong(vllm_pair: PairConfig) -> None:
    done = specreason(vllm_pair, "doctor", "--json", "--reasoning-budget", "512", "--answer-budget", "64")
    report = json.loads(done.stdout)
    assert report["ok"], [check for check in report["checks"] if check["state"] == "wrong"]
    found = {check["name"]: check["found"] for check in report["checks"] if check["role"] == "base"}
    assert f"blocks of {BLOCK}" in found["prefix cache"]
    assert report["judge"]["spots"]


def test_solve_answers(vllm_pair: PairConfig) -> None:
    budgets = ("--reasoning-budget", "120", "--answer-budget", "32", "--step-tokens", "48")
    done = specreason(vllm_pair, "solve", QUESTION, "--json", *budgets)
    assert done.returncode == 0
    assert json.loads(done.stdout)["answer"]


def specreason(config: PairConfig, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert config.base.api_key is not None
    variables = {
        "SPECREASON_BASE_URL": config.base.base_url,
        "SPECREASON_DRAFT_URL": config.draft.base_url,
        "SPECREASON_API_KEY": config.base.api_key.get_secret_value(),
    }
    command = [sys.executable, "-m", "specreason_graph.tools.cli", *arguments]
    return subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=200, check=False
    )

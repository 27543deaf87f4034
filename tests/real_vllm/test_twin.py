"""One tokenizer, and base decoding speculatively: Qwen2.5-Coder-0.5B drafts for itself, with n-gram guesses in base.

That is the paper's SpecReason+Decode: several tokens come at once, and steps, ledgers and verdicts must not notice.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from langchain_core.messages import HumanMessage

from specreason_graph import Pair, PairConfig, Settings, create_specreason
from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.state import Step
from specreason_graph.endpoint.http import Http
from specreason_graph.judging.catalog import builtin
from specreason_graph.tools.bench.decode import read

from .servers import plan, serving

pytestmark = [pytest.mark.real_vllm, pytest.mark.timeout(900)]

MODEL = "qwen2.5-coder-0.5b"
QUESTION = (
    "Repeat these three lines with a blank line between them, then stop:\n"
    "Line one has 3 cows and 4 hens.\nLine two has 3 cows and 4 hens.\nLine three has 3 cows and 4 hens."
)
SUM = "A farm has {} cows, 4 hens and 7 sheep. How many legs do they have, and how many more if each has a calf?"
NEAR = 0.3  # nats: bfloat16 logits are 0.125 apart, so another batch may turn two tokens this close around
SHORT: dict[str, Any] = {"reasoning_budget": 120, "answer_budget": 16, "step_tokens": 64, "boxed": True}


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PairConfig]:
    text = plan(MODEL, MODEL, decode="ngram", decode_tokens=4)
    with serving(tmp_path_factory.mktemp("twins"), text) as config:
        yield config


@pytest.fixture
async def pair(twins: PairConfig) -> AsyncIterator[Pair]:
    async with Pair(twins.model_copy(update={"preset": "instruct"})) as it:
        yield it


async def steps(pair: Pair, question: str = QUESTION, /, **settings: Any) -> list[Step]:
    chosen = Settings(**{**SHORT, "temperature": 0.0, **settings})
    graph = create_specreason(pair=pair, settings=chosen).compile()
    state = await graph.ainvoke({"messages": [HumanMessage(question)]}, {"recursion_limit": 500})
    assert state["specreason_steps"], "a model that answers at once shows nothing"
    return state["specreason_steps"]  # type: ignore[no-any-return]


async def test_one_tokenizer_needs_one_ledger(pair: Pair) -> None:
    """And a model that reads its own greedy steps finds their tokens likely."""
    assert await pair.same_tokenizer()
    kept = await steps(pair, judge="likelihood", threshold=-3.0)
    assert all(set(step["ids"]) == {"base"} for step in kept)
    accepted = [step for step in kept if step["accepted"]]
    assert len(accepted) >= len(kept) / 2


@pytest.mark.parametrize("by", ["base", "draft"])
async def test_steps_end_at_their_boundary_where_several_tokens_come_at_once(pair: Pair, by: str) -> None:
    """vLLM cuts the text at a stop string, but gives ids of what was guessed behind it: they are no part of a step."""
    chosen = {"first_steps": 500} if by == "base" else {"judge": "likelihood", "threshold": -30.0}
    for step in await steps(pair, **chosen):
        assert await pair.base.decode(step["ids"]["base"]) == step["text"]
        assert "\n\n" not in step["text"].strip()


def tokens(kept: list[Step]) -> list[int]:
    return [token for step in kept for token in step["ids"]["base"]]


async def check_same_up_to_a_near_tie(pair: Pair, one: list[int], two: list[int]) -> None:
    """A prefix that is read anew, or in another batch, may turn near ties around: their gap is what is shown."""
    at = next((at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), None)
    if at is None:
        return
    preset = builtin().preset("instruct", "", "")
    chat = [{"role": "user", "content": preset.wording(boxed=True).prompt.replace("{question}", QUESTION)}]
    opening = await pair.opening("draft", chat, preset)
    reading = (await pair.draft.read([[*opening.ids, *one[:at]]])).items[0]
    gap = abs(reading.logprobs.get(one[at], -99.0) - reading.logprobs.get(two[at], -99.0))
    print(f"first differ at token {at}, by {gap:.3f} nats")
    assert gap <= NEAR


async def test_overlap_does_not_change_greedy_transcripts_up_to_a_near_tie(pair: Pair) -> None:
    settings = {"judge": "likelihood", "threshold": -30.0}
    alone = await steps(pair, **settings, look_ahead=False, hedge=False)
    together = await steps(pair, **settings, look_ahead=True, hedge=True)
    await check_same_up_to_a_near_tie(pair, tokens(alone), tokens(together))


@pytest.mark.parametrize("overlap", [False, True])
async def test_base_that_decodes_several_tokens_at_once_writes_what_it_writes_without(
    pair: Pair, twins: PairConfig, overlap: bool
) -> None:
    """One model on both servers: base guesses by n-grams and sends several tokens an event, the draft's server one."""
    together = {"look_ahead": overlap, "hedge": overlap}
    by_base = await steps(pair, first_steps=500, **together)
    by_draft = await steps(pair, judge="likelihood", threshold=-30.0, **together)
    assert await most_tokens_an_event(twins.base) > 1
    assert len(tokens(by_base)) > 30
    await check_same_up_to_a_near_tie(pair, tokens(by_base), tokens(by_draft))


async def test_the_gate_closes_where_sixteen_questions_share_a_server(pair: Pair) -> None:
    """A loaded CPU has no arithmetic left over to read a step with, and the client sees that from its own requests."""
    by = {"judge": "likelihood", "step_tokens": 24, "reasoning_budget": 96}
    one = await steps(pair, SUM.format(3), **by)
    assert {step["gate"]["level"] for step in one} == {"both"}
    runs = await asyncio.gather(*(steps(pair, SUM.format(n), **by) for n in range(4, 20)))
    later = [step["gate"] for run in runs for step in run[2:]]
    print(Counter((gate["level"], gate["why"]) for gate in later))
    closed = [gate for gate in later if gate["level"] == "base"]
    assert len(closed) > len(later) / 2
    assert {gate["why"] for gate in closed} <= {"load", "queue"}


async def most_tokens_an_event(config: EndpointConfig) -> int:
    """Seen on the wire: how many tokens the server puts into one event."""
    assert config.api_key is not None
    body = {
        "model": config.model or MODEL,
        "prompt": "1 2 3 4 5 1 2 3 4 5 1 2 3 4 5 1 2",
        "max_tokens": 48,
        "temperature": 0,
        "logprobs": 0,
        "return_tokens_as_token_ids": True,
        "stream": True,
    }
    headers = {"Authorization": f"Bearer {config.api_key.get_secret_value()}"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.post(f"{config.base_url}/v1/completions", json=body) as response,
    ):
        lines = [line[6:] async for line in response.content if line.startswith(b"data: {")]
    events = [json.loads(line)["choices"] for line in lines]
    return max(len(choice["logprobs"]["tokens"]) for choices in events for choice in choices if choice["logprobs"])


async def test_bench_tells_what_the_server_counts_of_its_decoding(twins: PairConfig, tmp_path: Path) -> None:
    """The draft's server, which does not decode, is base of the other arms; nothing else asks the one that does."""
    problems = tmp_path / "lines.jsonl"
    problems.write_text(json.dumps({"problem": QUESTION, "answer": "3"}))
    server = Http("decode", twins.base)
    [before] = await read([server])
    arms = [part for arm in ("base", "base+decode", "ours+decode") for part in ("--arm", arm)]
    plain, run = twins.draft.base_url, tmp_path / "run.jsonl"
    urls = ["--base-url", plain, "--draft-url", plain, "--decode-url", twins.base.base_url, "--preset", "instruct"]
    budgets = ["--reasoning-budget", "120", "--answer-budget", "16", "--step-tokens", "64", "--temperature", "0"]
    judging = ["--judge", "likelihood", "--threshold", "-0.01"]  # base has to write, too
    options = ["--problems", str(problems), "--out", str(run), *judging, "--json"]
    command = [sys.executable, "-m", "specreason_graph.tools.cli", "bench", *arms, *urls, *budgets, *options]
    assert twins.base.api_key is not None
    env = {**os.environ, "SPECREASON_API_KEY": twins.base.api_key.get_secret_value()}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=800, check=False)  # noqa: ASYNC221
    assert done.returncode == 0, done.stderr
    [after] = await read([server])
    await server.aclose()
    report = json.loads(done.stdout)
    print({arm: (totals["tokens_a_pass"], totals["seconds"]) for arm, totals in report["arms"].items()})
    assert report["arms"]["base"]["tokens_a_pass"] is None
    for arm in ("base+decode", "ours+decode"):
        assert report["arms"][arm]["tokens_a_pass"] >= 1, arm
    records = [json.loads(line) for line in run.read_text().splitlines()[1:]]
    decoded = [record["decoded"] for record in records if record["decoded"]]
    assert len(decoded) == 2
    told = [sum(counts[name] for counts in decoded) for name in ("passes", "proposed", "accepted")]
    seen = [later - earlier for later, earlier in zip(after, before, strict=True)]
    assert told[0] > 0
    assert all(mine <= all_ for mine, all_ in zip(told, seen, strict=True))  # of a stopped hedge, some may come late

"""Every field of vLLM's that the client relies on has its effect: unknown fields are ignored with a 200."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from specreason_graph import PairConfig
from specreason_graph.endpoint import connect

from .environment import VERSION

pytestmark = [pytest.mark.real_vllm, pytest.mark.timeout(200)]

PROMPT = "Count: 1, 2, 3, 4, 5,"


async def post(config: PairConfig, path: str, **body: Any) -> Any:
    assert config.base.api_key is not None
    headers = {"Authorization": f"Bearer {config.base.api_key.get_secret_value()}"}
    async with (
        aiohttp.ClientSession(config.base.base_url, headers=headers) as client,
        client.post(path, json=body) as response,
    ):
        assert response.status == 200, await response.text()
        return await response.json()


async def complete(config: PairConfig, **body: Any) -> Any:
    answer = await post(
        config, "/v1/completions", **{"prompt": PROMPT, "max_tokens": 8, "temperature": 0, "top_p": 1, **body}
    )
    return answer["choices"][0]


def ignored(field: str) -> str:
    return f"this vLLM ignores {field!r}, which the client relies on; tested is {VERSION}"


async def test_stop_strings_and_their_place_in_the_text(vllm_pair: PairConfig) -> None:
    kept = await complete(vllm_pair, stop=["7"], include_stop_str_in_output=True)
    dropped = await complete(vllm_pair, stop=["7"])
    assert kept["stop_reason"] == "7", ignored("stop")
    assert kept["text"].endswith("7"), ignored("include_stop_str_in_output")
    assert not dropped["text"].endswith("7")


async def test_log_probabilities_and_token_ids(vllm_pair: PairConfig) -> None:
    choice = await complete(vllm_pair, logprobs=20, return_tokens_as_token_ids=True)
    assert choice["logprobs"], ignored("logprobs")
    assert all(len(top) >= 20 for top in choice["logprobs"]["top_logprobs"]), ignored("logprobs")
    assert all(name.startswith("token_id:") for name in choice["logprobs"]["tokens"]), ignored(
        "return_tokens_as_token_ids"
    )


async def test_stop_token_ids_and_sampling(vllm_pair: PairConfig) -> None:
    plain = await complete(vllm_pair, logprobs=0, return_tokens_as_token_ids=True)
    third = int(plain["logprobs"]["tokens"][2].partition(":")[2])
    stopped = await complete(vllm_pair, stop_token_ids=[third])
    assert stopped["stop_reason"] == third, ignored("stop_token_ids")
    hot: dict[str, Any] = {"temperature": 2.0, "max_tokens": 16}
    texts = [(await complete(vllm_pair, **hot, seed=seed))["text"] for seed in (1, 1, 2)]
    assert texts[0] == texts[1], ignored("seed")
    assert texts[0] != texts[2], ignored("temperature")


async def test_tokenizing_alone_and_with_pieces(vllm_pair: PairConfig) -> None:
    answer = await post(vllm_pair, "/tokenize", prompt="3 * 4 = 12", add_special_tokens=False, return_token_strs=True)
    assert answer.get("token_strs"), ignored("return_token_strs")
    assert len(answer["token_strs"]) == len(answer["tokens"])
    messages = [{"role": "user", "content": "Hello"}]
    opened = await post(vllm_pair, "/tokenize", messages=messages, add_generation_prompt=True)
    closed = await post(vllm_pair, "/tokenize", messages=messages, add_generation_prompt=False)
    assert len(opened["tokens"]) > len(closed["tokens"]), ignored("add_generation_prompt")


async def test_usage_tells_of_cached_tokens(vllm_pair: PairConfig) -> None:
    prompt = PROMPT * 60
    for _ in range(2):
        answer = await post(vllm_pair, "/v1/completions", prompt=prompt, max_tokens=1)
    assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] > 0, ignored("--enable-prompt-tokens-details")


async def test_structured_outputs(vllm_pair: PairConfig) -> None:
    chosen = await complete(vllm_pair, structured_outputs={"choice": ["zebra", "zoo"]})
    assert chosen["text"] in ("zebra", "zoo"), ignored("structured_outputs.choice")
    written = await complete(vllm_pair, structured_outputs={"json": {"const": {"six": 6}}}, max_tokens=20)
    assert json.loads(written["text"]) == {"six": 6}, ignored("structured_outputs.json")


async def test_tools_calls_and_reasoning_reach_the_template(vllm_pair: PairConfig) -> None:
    function = {"name": "price", "arguments": '{"of": "milk"}'}
    asks: dict[str, Any] = {"role": "assistant", "content": "", "reasoning": "Who knows."}
    asks["tool_calls"] = [{"id": "1", "type": "function", "function": function}]
    result = {"role": "tool", "content": "2", "name": "price", "tool_call_id": "of-1"}
    tool = {"type": "function", "function": {"name": "price", "description": "Prices.", "parameters": {}}}
    template = (
        "{{ tools[0].function.description }}{% for m in messages %}|{{ m.reasoning }}/{{ m.reasoning_content }}"
        "/{% if m.tool_calls %}{{ m.tool_calls[0].function.arguments.of }}{% endif %}"
        "/{{ m.name }}/{{ m.tool_call_id }}{% endfor %}"
    )
    body = {"messages": [asks, result], "tools": [tool], "chat_template": template}
    tokens = (await post(vllm_pair, "/tokenize", **body))["tokens"]
    seen = (await post(vllm_pair, "/detokenize", tokens=tokens))["prompt"]
    assert seen == "Prices.|Who knows./Who knows./milk//|///price/of-1", ignored("tools or messages")


async def test_a_model_of_text_says_that_it_takes_no_images(vllm_pair: PairConfig) -> None:
    """So that a pair is asked, and not believed by its name: nothing is sent but a black square, and no run goes on."""
    for role in (vllm_pair.base, vllm_pair.draft):
        endpoint = connect("base", role)
        sight = await endpoint.sight()
        print(sight)
        assert not sight.place
        assert sight.why_not.endswith("serves a model that takes no images")
        await endpoint.aclose()

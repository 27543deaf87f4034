"""What is read off a server's own template, once: how reasoning opens, and the markup around a judge's request."""

from collections.abc import Sequence

import pytest

from specreason_graph import ConfigError, Pair
from specreason_graph.judging.catalog import builtin
from specreason_graph.testing import Script, ScriptedServer, scripted_pair

CHAT = [{"role": "user", "content": "How many legs have 3 cows?"}]
THINKING, PAPER = builtin().presets["thinking"], builtin().judge("paper")
SCRIPT = Script(["So 12."])


def text(server: ScriptedServer, ids: Sequence[int]) -> str:
    return server.model.tokenizer.spell(ids).decode()


@pytest.mark.parametrize("template", ["think", "qwen3"])
async def test_the_think_block_is_opened_once_whoever_opens_it(template: str) -> None:
    """QwQ's and R1's templates open it, Qwen3's does not; and chat continuation would insert an empty one."""
    async with scripted_pair(SCRIPT, SCRIPT, template=template) as servers, Pair(servers.config) as pair:  # type: ignore[arg-type]
        opened = text(servers.base, (await pair.opening("base", CHAT, THINKING)).ids)
        assert opened.endswith("<|im_start|>assistant\n<think>\n")
        assert opened.count("<think>") == 1


@pytest.mark.parametrize("template", ["think", "qwen3"])
async def test_the_judges_markup_is_the_templates_own_with_the_papers_pre_fill(template: str) -> None:
    async with scripted_pair(SCRIPT, SCRIPT, template=template) as servers, Pair(servers.config) as pair:  # type: ignore[arg-type]
        request = await pair.judge_request(PAPER, THINKING)
        suffix = text(servers.base, request.suffix)
        assert suffix == (
            f"<|im_end|>\n<|im_start|>user\n{PAPER.request}<|im_end|>\n"
            "<|im_start|>assistant\n<think>I think the quality score is: "
        )
        assert {label: text(servers.base, [i]) for label, i in request.labels.items()} == {d: d for d in "0123456789"}


async def test_same_tokenizer_is_compared_not_assumed() -> None:
    for other, same in (("a", True), ("b", False)):
        draft = ScriptedServer(SCRIPT, tokenizer=other)  # type: ignore[arg-type]
        async with scripted_pair(SCRIPT, draft) as servers, Pair(servers.config) as pair:
            assert await pair.same_tokenizer() is same


async def test_what_is_known_is_not_asked_again() -> None:
    """The authors' script asks for the model list before every call."""
    async with scripted_pair(SCRIPT, SCRIPT, template="think") as servers, Pair(servers.config) as pair:
        await pair.opening("base", CHAT, THINKING)
        for _ in range(3):
            await pair.cards()
            await pair.closings("base", THINKING)
            await pair.judge_request(PAPER, THINKING)
            await pair.same_tokenizer()
        paths = [record.path for record in servers.base.requests]
        assert paths.count("/v1/models") == 1
        assert len(paths) == len(set(map(str, ((r.path, r.body) for r in servers.base.requests))))


async def test_a_marker_that_is_no_single_token_is_refused() -> None:
    preset = THINKING.model_copy(update={"close": "</reasoning>"})
    async with scripted_pair(SCRIPT, SCRIPT, template="think") as servers, Pair(servers.config) as pair:
        with pytest.raises(ConfigError, match="</reasoning>"):
            await pair.closings("base", preset)


async def test_what_is_known_is_of_this_preset_and_judge() -> None:
    """What is kept is found again by all that it was made of."""
    chat = [{"role": "user", "content": "How many legs have 4 hens?"}]
    asks = PAPER.model_copy(update={"request": "How good is it?"})
    says = PAPER.model_copy(update={"prefill": "{open}It is "})
    few = PAPER.model_copy(update={"labels": ("0", "1")})
    instruct = builtin().presets["instruct"]
    async with scripted_pair(SCRIPT, SCRIPT, template="qwen3") as servers, Pair(servers.config) as pair:
        openings = [
            await pair.opening("base", said, preset) for said in (CHAT, chat) for preset in (THINKING, instruct)
        ]
        assert len({opening.hash for opening in openings}) == 4
        suffixes = [(await pair.judge_request(judge, THINKING)).suffix for judge in (PAPER, asks, says)]
        assert len(set(map(tuple, suffixes))) == 3
        assert list((await pair.judge_request(few, THINKING)).labels) == ["0", "1"]
        markers = [(await pair.closings("base", preset)).marker for preset in (THINKING, instruct)]
        assert markers[0] is not None
        assert markers[1] is None

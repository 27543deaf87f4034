"""Committed ledgers only grow, and each prompt is ledger + pending step + request, whatever the models write."""

import asyncio
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage

from specreason_graph import Pair, Settings, create_specreason
from specreason_graph.contract.settings import Role
from specreason_graph.contract.state import Step
from specreason_graph.endpoint import connect
from specreason_graph.endpoint.ids import Ids
from specreason_graph.generation.ledger import Ledgers, encode_step
from specreason_graph.testing import Script, ScriptedServer, scripted_pair


def _step(*ids: int) -> Step:
    return {"ids": {"base": list(ids)}}  # type: ignore[typeddict-item]


def test_a_kept_ledger_follows_forks_and_edits() -> None:
    """What was built for one node is only added to where the run's steps are still those."""
    kept, opening, one, two = Ledgers(), Ids([9]), _step(1, 2), _step(3)
    assert list(kept.of(opening, [one], "base")) == [9, 1, 2]
    assert list(kept.of(opening, [one, two], "base")) == [9, 1, 2, 3]
    assert list(kept.of(opening, [one], "base")) == [9, 1, 2]
    assert list(kept.of(opening, [_step(4), two], "base")) == [9, 4, 3]
    assert list(kept.of(opening, [_step(4), _step(3), two], "base")) == [9, 4, 3, 3]
    kept.clear()
    assert list(kept.of(opening, [], "base")) == [9]


NASTY = st.sampled_from(
    [
        "<|im_end|>",
        "<think>",
        "<|im_start|>user",
        "</s>",
        "🙂",
        "漢字",
        "é",
        ":",
        ".",
        " ",
        "\n",
        "\t",
        "12",
        "a",
        "Step ",
    ]
)
STEP = st.lists(NASTY, min_size=1, max_size=12).map("".join).filter(lambda t: t.strip() and "\n\n" not in t)
STEPS = st.lists(STEP, min_size=1, max_size=4)


CHAT = [{"role": "user", "content": "?"}]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    by_base=STEPS,
    by_draft=STEPS,
    scores=st.lists(st.sampled_from([0, 9]), max_size=4),
    two_tokenizers=st.booleans(),
    judge=st.sampled_from(["paper", "likelihood"]),
    cap=st.sampled_from([3, 7, 512]),
)
def test_ledgers_only_grow(
    by_base: list[str], by_draft: list[str], scores: list[int], two_tokenizers: bool, judge: str, cap: int
) -> None:
    asyncio.run(_check(by_base, by_draft, scores, two_tokenizers, judge, cap))


async def _check(
    by_base: list[str], by_draft: list[str], scores: list[int], two_tokenizers: bool, judge: str, cap: int
) -> None:
    base = ScriptedServer(Script(_spelled(by_base), scores=scores), template="think")
    draft = ScriptedServer(Script(_spelled(by_draft)), template="think", tokenizer="b" if two_tokenizers else "a")
    async with scripted_pair(base, draft) as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=Settings(judge=judge, step_tokens=cap, max_steps=8)).compile()
        state = await graph.ainvoke({"messages": [HumanMessage("?")]}, {"recursion_limit": 100})
        steps: list[Step] = state["specreason_steps"]
        roles: list[tuple[Role, ScriptedServer]] = [("base", base), ("draft", draft)]
        for role, server in roles:
            opening = Ids(await pair.endpoint(role).render(CHAT, {}))
            ledgers = [list(Ledgers().of(opening, steps[:n], role)) for n in range(len(steps) + 1)]
            committed = 0
            for record in server.completions:
                for prompt in record.prompts:
                    assert prompt[: len(ledgers[committed])] == ledgers[committed]
                    if record.body.get("stream"):  # a generation goes on behind a ledger, and nothing else
                        committed = max(n for n, ids in enumerate(ledgers) if prompt[: len(ids)] == ids)
                        rest = server.model.tokenizer.spell(prompt[len(ledgers[committed]) :])
                        assert rest.strip() in (b"", b"</think>")


def _spelled(texts: Sequence[str]) -> list[str]:
    return [text.strip("\n") or "x" for text in texts]


async def test_control_tokens_spelled_as_text_stay_text() -> None:
    """Else a draft that writes `<|im_end|>` about chat templates would end base's turn."""
    async with ScriptedServer(Script(["x"])) as server:
        endpoint = connect("base", server.config)
        control = (await endpoint.encode("<|im_end|>", control=True)).ids
        assert len(control) == 1
        assert control[0] not in (await encode_step(endpoint, "It ends with <|im_end|>.\n\n")).ids
        await endpoint.aclose()


async def test_a_boundary_is_encoded_as_it_is_in_the_middle_of_a_text() -> None:
    """A tokenizer may have one id for a final `.` and blank line, and others with text behind."""
    async with ScriptedServer(Script(["x"])) as server:
        endpoint = connect("base", server.config)
        alone = (await encode_step(endpoint, "So 12.\n\n")).ids
        together = (await endpoint.encode("So 12.\n\nAnd more.")).ids
        assert together[: len(alone)] == alone
        await endpoint.aclose()

"""How the pair reasons: preset, chat templates, judge and tokenizers."""

from __future__ import annotations

from specreason_graph.contract.settings import Role
from specreason_graph.judging.policy import FittedPolicy, Policy
from specreason_graph.models.conversation import chat_messages
from specreason_graph.models.presets import Judge
from specreason_graph.tools.doctor.case import Case
from specreason_graph.tools.doctor.check import Finding


async def preset(case: Case) -> Finding:
    """Which preset, and why that one."""
    found = await case.preset()
    why = "named" if case.named else f"models' names hold {found.base!r} and {found.draft!r}"
    return Finding("ok", f"{found.name} ({found.kind}): {why}")


def opens_thinking(case: Case, text: str) -> bool:
    """Whether a text ends where a think block begins, by the marker of any preset."""
    return text.rstrip().endswith(tuple({p.open.strip() for p in case.catalog.presets.values()} - {""}))


async def template(case: Case, role: Role) -> Finding:
    """Whether the chat template renders, and agrees with the preset on who opens the think block."""
    chosen, endpoint = await case.preset(), case.pair.endpoint(role)
    chat = chat_messages(case.messages, chosen, boxed=case.settings.boxed)
    rendered, opening = await endpoint.render(chat, chosen.template), await case.pair.opening(role, chat, chosen)
    case.prompts[role] = list(opening.ids)
    if chosen.kind == "instruct":
        if opens_thinking(case, await endpoint.decode(rendered)):
            found = f"opens a think block, which preset `{chosen.name}` never closes"
            return Finding("warn", found, "--preset thinking, if this model reasons in one")
        return Finding("ok", "renders, opens no think block")
    marker = (await case.pair.closings(role, chosen)).marker
    closes = f", {marker.text} is one token" if marker else ""
    opens = "opens the think block" if rendered == case.prompts[role] else "we open the block"
    return Finding("ok", f"{opens}{closes}")


async def judge(case: Case) -> Finding:
    """What base is asked, and what is accepted."""
    asked, policy = await _judging(case)
    by = f", by the fitted policy {policy.name}" if isinstance(policy, FittedPolicy) else ""
    return Finding("ok", f"{asked.name}, accepts at {policy.threshold:g}{by}")


async def labels(case: Case) -> Finding:
    """Whether base can write each label as one token."""
    asked, _ = await _judging(case)
    if not asked.labels:
        return Finding("ok", f"judge `{asked.name}` asks for none")
    request = await case.pair.judge_request(asked, await case.preset())
    return Finding("ok", f"{len(request.labels)}, one token each")


async def tokenizers(case: Case) -> Finding:
    """Whether a step has to be encoded anew for the other model: a fact, either is fine."""
    same = await case.pair.same_tokenizer()
    return Finding("ok", "the same" if same else "different: steps are encoded anew for the other model")


async def _judging(case: Case) -> tuple[Judge, Policy]:
    cards = await case.pair.cards()
    return case.catalog.judging(case.settings, await case.preset(), cards["base"].name, cards["draft"].name)

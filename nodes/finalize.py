"""`finalize`: the reasoning is closed and the answer written, in a budget of its own."""

from __future__ import annotations

from langchain_core.messages import AIMessage

from specreason_graph.endpoint.protocol import Usage
from specreason_graph.events import AnswerToken, ReasoningEnded
from specreason_graph.report import acceptance
from specreason_graph.run import Run
from specreason_graph.settings import Role
from specreason_graph.state import SpecReasonState, Update
from specreason_graph.steps import drop
from specreason_graph.usage import used
from specreason_graph.writing import Bounds, Collected, collect


async def finalize(state: SpecReasonState, run: Run) -> Update:
    """Have the answer written; an instruct model that ended its turn has given it in its last step already."""
    ended = state["specreason_ended"]
    assert ended is not None, "the edges lead here only when the reasoning has ended"
    run.emit(ReasoningEnded(event="reasoning_ended", ended=ended))
    for role in [*run.streams]:
        await drop(run, role)
    texts = [step["text"] for step in run.steps]
    if run.preset.kind == "instruct" and ended == "finished" and texts:
        answer = texts.pop().strip()
    else:
        role = run.settings.answer_by
        written, cue, request = await _write(run, role)
        run.usage = used(run.usage, role, [request], run.seconds() - run.spent)
        answer = (cue + written.text).strip() if written.text.strip() else ""
    return {
        "messages": [_message(answer, "".join(texts).strip(), run, ended)],
        "specreason_answer": answer or None,
        "specreason_done": True,
    }


async def _write(run: Run, role: Role) -> tuple[Collected, str, Usage]:
    """The answer behind the closed reasoning, and the part of the cue that the reader should see of it."""
    endpoint = run.pair.endpoint(role)
    line = "" if not run.steps or run.steps[-1]["text"].endswith("\n") else "\n"
    cue = (await endpoint.encode(line + run.preset.answer_cue, control=True)).ids
    prompt = run.ledger(role).plus(cue)
    bounds = Bounds(min(run.settings.answer_budget, run.contexts[role] - len(prompt)), _seconds(run))
    written = await collect(
        endpoint,
        prompt,
        bounds,
        run.sampling("finalize"),
        on_text=lambda text: run.emit(AnswerToken(event="answer_token", text=text)),
    )
    request = written.end.usage if written.end else Usage(len(prompt), None, len(written.ids))
    return written, run.preset.answer_cue if run.preset.kind == "instruct" else "", request


def _seconds(run: Run) -> float | None:
    """Seconds for the answer: what the deadline leaves, and its reserve at least."""
    left = run.seconds_left()
    return None if left is None else run.settings.answer_reserve + max(0.0, left)


def _message(answer: str, reasoning: str, run: Run, ended: str) -> AIMessage:
    """The reply as LangChain knows it: the answer as text, the reasoning beside it."""
    accepted, judged = acceptance(run.steps)
    return AIMessage(
        content=answer,
        additional_kwargs={"reasoning_content": reasoning} if reasoning else {},
        response_metadata={
            "specreason": {
                "ended": ended,
                "steps": len(run.steps),
                "acceptance_rate": accepted / judged if judged else None,
                "usage": run.usage,
            }
        },
    )

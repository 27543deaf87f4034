"""`finalize`: the reasoning is closed, and base answers or calls tools, in a budget of its own."""

from __future__ import annotations

from dataclasses import replace

from specreason_graph.contract.errors import EndpointError, MalformedResponse, NoRoom
from specreason_graph.contract.events import AnswerToken, DraftGone, ReasoningEnded
from specreason_graph.contract.schema import wrong
from specreason_graph.contract.state import SpecReasonState, Update
from specreason_graph.endpoint.ids import size
from specreason_graph.endpoint.protocol import Form, Token
from specreason_graph.generation.passage import Passage
from specreason_graph.loop.bounds import answer_bounds
from specreason_graph.loop.calls import write_calls
from specreason_graph.loop.cue import cue
from specreason_graph.loop.gate import DRAFT_GONE
from specreason_graph.loop.reached import is_gone
from specreason_graph.loop.reply import Answer, Finish, Told, answers_in_last_step, begun_stop, reply, until
from specreason_graph.loop.run import Run
from specreason_graph.loop.writing import Writing, written
from specreason_graph.models.turns import tokens


async def finalize(state: SpecReasonState, run: Run) -> Update:
    """Have the answer written, or calls; an instruct model that ended its turn may have answered in its last step."""
    ended = state["specreason_ended"]
    assert ended is not None, "the edges lead here only when the reasoning has ended"
    run.emit(ReasoningEnded(event="reasoning_ended", ended=ended))
    await run.overlap.drop()
    calls = bool(run.settings.callable_tools) and (ended == "call" or run.settings.tool_choice != "auto")
    in_last_step = answers_in_last_step(run.preset, run.settings)
    given = ended == "finished" and bool(run.steps) and in_last_step and not calls
    writing = Writing(run, run.settings.answer_by, run.ledger(run.settings.answer_by))
    answer = _given(run) if given else await (_called(writing) if calls else _answered(writing))
    reasoning = "".join(step["text"] for step in (run.steps[:-1] if given else run.steps)).strip()
    message = reply(run.steps, run.usage(), run.clock.seconds(), run.models, ended, reasoning, answer)
    about = message.response_metadata["specreason"]
    about["answer_loops"] = writing.loops
    about["answered_by"] = run.steps[-1]["source"] if given else writing.role
    if answer.whole and run.preset.goes_on_behind(calls=bool(answer.calls)):
        about["tokens"] = tokens(message, *await written(writing))
    said: Update = {"messages": [message], "specreason_answer": answer.text or None, "specreason_done": True}
    return {**said, "specreason_gate": writing.run.gate}


def _given(run: Run) -> Answer:
    step = run.steps[-1]
    text = until(step["text"], run.settings.answer_stop)
    _tell(run, text.strip())
    tokens = step["draft_tokens" if step["source"] == "draft" else "base_tokens"]
    return Answer(text.strip(), tokens, "stop", whole=text == step["text"])


async def _called(writing: Writing) -> Answer:
    """Calls and no text."""
    await _cue(writing, calls=True)
    return await _with_calls(writing, "")


async def _answered(writing: Writing) -> Answer:
    """A text, or a text up to calls; by base in the draft's place, where the draft is gone."""
    run, settings = writing.run, writing.run.settings
    # An instruct model's reader should see the cue before the answer, too.
    shown = run.preset.wording(settings.boxed).answer_cue if answers_in_last_step(run.preset, settings) else ""
    stops = (*settings.answer_stop, *(opening.text for opening in run.opens_call))
    told, got = Told(held=shown, stops=stops), Passage()
    try:
        return await _text(writing, told, shown, got)
    except EndpointError as error:
        in_schema = told.begun and settings.answer_schema is not None  # nobody can go on there
        if in_schema or not is_gone(error, settings):
            raise
    if not told.begun:
        told, got = Told(held=shown, stops=stops), Passage()
    await _hand_over(writing, got)
    return await _text(writing, told, shown, got)


async def _text(writing: Writing, told: Told, shown: str, got: Passage) -> Answer:
    """An answer that begins with `shown`, behind what there is of it."""
    run, settings = writing.run, writing.run.settings
    await _cue(writing)
    openings = run.opens_call
    if openings and settings.answer_schema is not None and await _rather_calls(writing, openings[0].text):
        return await _with_calls(writing, "")
    form = Form(settings.answer_schema, settings.answer_stop)
    await writing.write(form, closers=openings, on_text=lambda piece: _tell(run, told.add(piece)), into=got)
    _check_form(run, writing, got)
    # What is cut in the middle of an opening is no part of the answer.
    half = begun_stop(got.text, [opening.text for opening in openings]) if got.cut else 0
    text = until(got.text[: len(got.text) - half], settings.answer_stop)
    _tell(run, told.rest(len(text)))
    answer = (shown + text).strip() if text.strip() else ""
    if got.ended_with is not None and len(text) == len(got.text):
        return await _with_calls(writing, answer)
    return Answer(answer, writing.tokens, "length" if got.cut else "stop", whole=not got.cut and text == got.text)


async def _hand_over(writing: Writing, got: Passage) -> None:
    """Have base write on, behind what there is, in its tokens."""
    run = writing.run
    run.emit(DraftGone(event="draft_gone", index=len(run.steps)))
    writing.run = replace(run, settings=run.settings.overridden(by={"answer_by": "base"}), gate=DRAFT_GONE)
    writing.role, writing.prompt, writing.text = "base", run.ledger("base"), ""
    got.trim(newlines=False)
    if got.text and not run.same_tokenizer:
        read = await run.pair.base.encode(got.text)
        got.tokens = [Token(token, 0.0, text) for token, text in zip(read.ids, read.texts, strict=True)]


async def _with_calls(writing: Writing, text: str) -> Answer:
    calls = await write_calls(writing)
    finish: Finish = "length" if calls.cut else "tool_calls" if calls.valid else "stop"
    whole = not (calls.cut or calls.invalid)
    return Answer(text, writing.tokens, finish, calls.valid, calls.invalid, whole=whole)


async def _cue(writing: Writing, *, calls: bool = False) -> None:
    """What has the model begin, and how much it may write behind it."""
    run, role = writing.run, writing.role
    mid_line = bool(run.steps) and not run.steps[-1]["text"].endswith("\n")
    writing.grow(*await cue(run.pair, run.live, run.settings, run.preset, mid_line=mid_line, calls=calls))
    writing.cued, writing.left = len(writing.text), answer_bounds(run, size(writing.prompt)).tokens
    if writing.left < 1:
        raise NoRoom(f"answer_by: behind this reasoning {role}'s context has no room for an answer; take the other one")


async def _rather_calls(writing: Writing, opening: str) -> bool:
    """Where the answer has a schema, nothing but JSON could be written: whether base would open a call instead."""
    schema = writing.run.settings.answer_schema or {}
    begins = {"array": "[", "string": '"'}.get(str(schema.get("type")), "{")
    return (await writing.tried(Form(choices=(opening, begins)))).text == opening


def _tell(run: Run, text: str) -> None:
    if text:
        run.emit(AnswerToken(event="answer_token", text=text))


def _check_form(run: Run, writing: Writing, got: Passage) -> None:
    """A server that does not know a field ignores it, so the effect is looked at."""
    schema = run.settings.answer_schema
    if schema is None or got.end is None or got.end.why != "end_of_turn":
        return
    error = wrong(got.text, schema)
    if error is not None:
        name = run.pair.endpoint(writing.role).name
        raise MalformedResponse(
            f"{name} does not hold to answer_schema ({error}): vLLM knows structured_outputs since 0.11, and no server "
            "holds to all that a schema may say"
        )

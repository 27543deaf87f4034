"""What the doctor finds of each server by itself, and the flag or variable that mends it."""

import pytest

from specreason_graph.testing import Fault

from .examining import examined, line, of, server


async def test_a_model_that_is_not_served_says_which_are() -> None:
    diagnosis = await examined(endpoints={"draft": {"model": "QwQ"}})
    assert of(diagnosis, "wrong") == {("model", "draft")}
    found = line(diagnosis, "model", "draft")
    assert "serves draft, not model 'QwQ'" in found.found
    assert "SPECREASON_DRAFT_MODEL" in (found.fix or "")
    assert line(diagnosis, "server", "draft").state == "ok"


@pytest.mark.parametrize(
    ("fault", "fix"), [(Fault("malformed"), "--dialect"), (Fault("status", status=404), "--draft-url")]
)
async def test_something_else_at_the_address_is_no_server(fault: Fault, fix: str) -> None:
    draft = server("draft")
    draft.fail(fault, path="/v1/models", times=None)
    diagnosis = await examined(draft=draft)
    assert fix in (line(diagnosis, "server", "draft").fix or "")


async def test_a_missing_key_is_asked_for() -> None:
    diagnosis = await examined(server("base", api_key="k"), endpoints={"base": {"api_key": None}})
    assert "SPECREASON_API_KEY" in (line(diagnosis, "server", "base").fix or "")


async def test_too_few_log_probs_name_the_flag_and_stop_no_measurement() -> None:
    diagnosis = await examined(server("base", max_logprobs=5))
    assert of(diagnosis, "wrong") == {("top log-probs", "base")}
    assert "--max-logprobs 20" in (line(diagnosis, "top log-probs", "base").fix or "")
    assert of(diagnosis, "skipped") == {("judge call", None)}
    assert diagnosis.step is not None


async def test_a_context_shorter_than_the_budgets_says_where_a_run_would_be_cut() -> None:
    short = await examined(draft=server("draft", context=3000))
    found = line(short, "context", "draft")
    assert (found.state, "--max-model-len" in (found.fix or ""), short.ok) == ("warn", True, True)
    budget = (found.fix or "").split()[1].rstrip(",")
    enough = await examined(draft=server("draft", context=3000), reasoning_budget=int(budget))
    assert line(enough, "context", "draft").state == "ok"


async def test_a_context_without_room_to_reason_is_wrong() -> None:
    diagnosis = await examined(server("base", context=1060))
    assert of(diagnosis, "wrong") == {("context", "base")}
    assert "--answer-budget" in (line(diagnosis, "context", "base").fix or "")


async def test_it_says_which_models_take_images() -> None:
    """A pair of text is none the worse for it."""
    text = await examined()
    assert line(text, "images", "base").found == "none: serves a model that takes no images"
    seeing = await examined(server("base", sees=True, scale_out=True), server("draft", sees=True))
    assert line(seeing, "images", "base").found == "taken"
    assert "--enable-scale-out" in line(seeing, "images", "draft").found

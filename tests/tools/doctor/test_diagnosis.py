"""What the doctor says as a whole: a pair that works, and what a fault at one server leaves of the rest."""

from specreason_graph.testing import Fault

from .examining import examined, line, of, server


async def test_a_pair_that_works_has_no_other_line() -> None:
    diagnosis = await examined()
    assert {check.state for check in diagnosis.checks} == {"ok"}, diagnosis.checks
    assert diagnosis.ok
    assert all(check.fix is None for check in diagnosis.checks)
    assert "vLLM 0.32.0" in line(diagnosis, "server", "base").found
    assert "in blocks of 16" in line(diagnosis, "prefix cache", "draft").found
    assert "opens the think block" in line(diagnosis, "template", "base").found


async def test_an_unreachable_base_does_not_hide_what_the_draft_is() -> None:
    diagnosis = await examined(endpoints={"base": {"base_url": "http://127.0.0.1:9"}})
    assert of(diagnosis, "wrong") == {("server", "base")}
    assert "--base-url" in (line(diagnosis, "server", "base").fix or "")
    assert {check.state for check in diagnosis.checks if check.role == "draft"} == {"ok"}
    assert "needs: base server" in line(diagnosis, "judge call").found
    assert (diagnosis.step, diagnosis.judge) == (None, None)


async def test_no_log_probs_are_one_line_not_one_for_each_measurement() -> None:
    base = server("base")
    base.fail(Fault("no_logprobs"), times=None)
    diagnosis = await examined(base)
    assert of(diagnosis, "wrong") == {("log-probs", "base")}
    assert "proxy" in (line(diagnosis, "log-probs", "base").fix or "")
    assert {("latency", "base"), ("judge call", None)} < of(diagnosis, "skipped")
    assert line(diagnosis, "labels").state == "ok"

"""Recorded runs by name: files, standard input, threads of a checkpointer, a gateway's, problems of a journal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from specreason_graph.contract.errors import ConfigError
from specreason_graph.judging.policy import as_json
from specreason_graph.tools.bench.journal import read_journal
from specreason_graph.tools.bench.judged_by import ABOUT, catalog_of, judging_of
from specreason_graph.tools.bench.outcome import OURS, parts_of
from specreason_graph.tools.bench.table import arm_name
from specreason_graph.tools.gateway_runs import GATEWAY, of_gateway
from specreason_graph.tools.threads import POSTGRES, SQLITE, of_thread, split_at_file
from specreason_graph.use.page.build import run_page
from specreason_graph.use.page.model import RunPage

_IN_A_JOURNAL = "JOURNAL#PROBLEM names a run of a bench journal"
_SAID = 160  # characters of what is wrong in a record
_NAMED = 5  # problems that a journal has, where another one is asked for


def page_of_run(
    run: str,
    arm: str | None = None,
    sample: int | None = None,
    number: int | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> RunPage:
    """The page of a run: of a file, of standard input (`-`), of a thread, of a gateway, or of `JOURNAL#PROBLEM`.

    Args:
        run: its name.
        arm: which arm of the journal's problem; `ours` if there are several.
        sample: which sample of it, from 0.
        number: which run of a thread, from 1; the last if there are several.
        tell: is told, line by line, what else there was to choose from.

    Raises:
        ConfigError: there is no such run, or it is none of ours.
        SpecReasonError: where it is kept can't be reached.
    """
    is_thread = run.startswith((SQLITE, *POSTGRES))
    if number is not None and not is_thread:
        raise ConfigError("number: only a thread has several runs, as in sqlite:runs.sqlite#THREAD")
    is_one = is_thread or run.startswith(GATEWAY) or run == "-" or Path(run).exists()
    if is_one and (arm, sample) != (None, None):
        raise ConfigError(f"{'sample' if arm is None else 'arm'}: {_IN_A_JOURNAL}, and no other run has any")
    if is_thread:
        kept = of_thread(run, number)
        for line in [f"{kept.about}; --number chooses another:", *kept.others] if kept.others else []:
            tell(line)
        return _checked(kept.about, kept.record, kept.about)  # an address may hold a password
    if run.startswith(GATEWAY):
        record = of_gateway(run)
        status = str(record.get("status", ""))
        return _checked("the gateway's record", record, status, goes_on=status == "running")
    if is_one:
        return _checked(run, _of_file(run))
    journal, problem = split_at_file(run)
    if "#" not in run:
        raise ConfigError(f"run: there is no file {run}; {_IN_A_JOURNAL}, and - reads standard input")
    about, outcomes = read_journal(Path(journal))
    outcomes = [it for it in outcomes if isinstance(it.get("problem"), str) and isinstance(it.get("arm"), str)]
    found = [it for it in outcomes if it["problem"] == problem and it.get("sample", 0) == (sample or 0)]
    if not found:
        raise ConfigError(_no_problem(journal, problem, outcomes))
    return page_of_outcome(about, _of_arm(found, arm, problem, journal))


def page_of_outcome(about: Mapping[str, Any], outcome: Mapping[str, Any]) -> RunPage:
    """The page of one arm's outcome on one problem.

    Args:
        about: the journal's first line.
        outcome: its record.

    Raises:
        ConfigError: the record is none of ours.
    """
    name, is_right = outcome["problem"], outcome.get("right")
    right = "right" if is_right is True else "wrong" if is_right is False else ""
    said = ", ".join(part for part in (name, arm_name(outcome["arm"]), right) if part)
    record = {
        "answer": outcome.get("answer", outcome.get("given")),
        "steps": outcome.get("steps"),
        "ended": outcome.get("ended"),
        "usage": outcome.get("usage", {}),
        "seconds": outcome.get("seconds", 0.0),
        "question": outcome.get("question", ""),
        "models": {role: about[f"{role}_model"] for role in ("base", "draft") if f"{role}_model" in about},
        **_judged_by(about, outcome["arm"]),
    }
    return _checked(name, record, said)


def _judged_by(about: Mapping[str, Any], arm: str) -> dict[str, Any]:
    """Nothing for arms that judge nothing, and where a judge or policy of another version is not known here."""
    if not about.keys() >= ABOUT or parts_of(arm).method in ("base", "draft"):
        return {}
    try:
        judge, policy = judging_of(catalog_of(about), about, arm)
    except (ConfigError, TypeError, AttributeError):  # of values that are none of what these should be
        return {}
    return {"judge": judge.model_dump(mode="json"), "policy": as_json(policy)}


def _no_problem(journal: str, problem: str, outcomes: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(it["problem"] for it in outcomes))
    if problem in names:
        return f"sample: {problem} in {journal} has no such sample"
    some = ", ".join(map(repr, names[:_NAMED])) + ", …" * (len(names) > _NAMED)
    return f"run: {journal} has no problem {problem!r}; it has {some or 'none'}"


def _of_arm(found: Sequence[Mapping[str, Any]], arm: str | None, problem: str, journal: str) -> Mapping[str, Any]:
    arms = [outcome["arm"] for outcome in found]
    wanted = arm or (arms[0] if len(arms) == 1 else OURS)
    for outcome in found:
        if outcome["arm"] == wanted:
            return outcome
    raise ConfigError(f"arm: {problem} in {journal} has no {wanted!r}; name one with --arm: {', '.join(arms)}")


def _of_file(run: str) -> dict[str, Any]:
    name = "standard input" if run == "-" else run
    if run != "-" and not Path(run).is_file():  # a folder, or a device that may have no end
        raise ConfigError(f"run: {run} is no file; {_IN_A_JOURNAL}")
    try:
        text = sys.stdin.read() if run == "-" else Path(run).read_text(encoding="utf-8")
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigError(f"run: {name} is not what `specreason solve --json` prints; {_IN_A_JOURNAL}") from None
    except OSError as error:
        raise ConfigError(f"run: can't read {run}: {error.strerror}") from None
    if not isinstance(found, dict) or "steps" not in found:
        raise ConfigError(f"run: {name} is not what `specreason solve --json` prints; {_IN_A_JOURNAL}")
    return found


def _checked(name: str, record: Mapping[str, Any], about: str = "", *, goes_on: bool = False) -> RunPage:
    try:
        return run_page(record, about, goes_on=goes_on)
    except ConfigError as error:
        raise ConfigError(f"run: {name} is no run of this version ({str(error)[:_SAID]}); run it anew") from None
    except RecursionError:
        raise ConfigError(f"run: {name} is no run of ours: it is nested too deeply") from None

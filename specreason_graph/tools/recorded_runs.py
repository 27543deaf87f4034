"""Recorded runs by name: files, standard input, threads of a checkpointer, a gateway's, problems of a journal."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from specreason_graph.contract.errors import ConfigError
from specreason_graph.judging.policy import as_json
from specreason_graph.tools.bench.journal import read_journal
from specreason_graph.tools.bench.judged_by import ABOUT, catalog_of, judging_of
from specreason_graph.tools.bench.outcome import OURS, parts_of
from specreason_graph.tools.bench.table import arm_name
from specreason_graph.tools.kept_runs import GATEWAY, POSTGRES, SQLITE, of_gateway, of_thread, shown
from specreason_graph.use.page.build import run_page
from specreason_graph.use.page.model import RunPage

_IN_A_JOURNAL = "JOURNAL#PROBLEM names a run of a bench journal"
_SAID = 160  # characters of what is wrong in a record


def page_of_run(run: str, arm: str | None = None, sample: int = 0) -> RunPage:
    """The page of a run: of a file, of standard input (`-`), of a thread, of a gateway, or of `JOURNAL#PROBLEM`.

    Args:
        run: its name.
        arm: which arm of the journal's problem; `ours` if there are several.
        sample: which sample of it, from 0.

    Raises:
        ConfigError: there is no such run, or it is none of ours.
        SpecReasonError: where it is kept can't be reached.
    """
    kept = _of_one(run)
    if kept is not None:
        if arm is not None:
            raise ConfigError(f"arm: {shown(run)} is one run and has no arms; {_IN_A_JOURNAL}")
        return _checked(shown(run), kept)
    journal, mark, problem = run.rpartition("#")
    if not mark:
        raise ConfigError(f"run: there is no file {run}; {_IN_A_JOURNAL}, and - reads standard input")
    about, outcomes = read_journal(Path(journal))
    found = [it for it in outcomes if it.get("problem") == problem and it.get("sample", 0) == sample and "arm" in it]
    chosen = _of_arm(found, arm, problem, journal)
    return page_of_outcome(about, chosen)


def _of_one(run: str) -> Mapping[str, Any] | None:
    """The record of what is one run by itself; None for a name of another kind."""
    if run.startswith((SQLITE, *POSTGRES)):
        return of_thread(run)
    if run.startswith(GATEWAY):
        return of_gateway(run)
    return _of_file(run) if run == "-" or Path(run).exists() else None


def page_of_outcome(about: Mapping[str, Any], outcome: Mapping[str, Any]) -> RunPage:
    """The page of one arm's outcome on one problem.

    Args:
        about: the journal's first line.
        outcome: its record.

    Raises:
        ConfigError: the record is none of ours.
    """
    name = str(outcome.get("problem", ""))
    right = {True: "right", False: "wrong"}.get(outcome.get("right", ""), "")
    said = ", ".join(part for part in (name, arm_name(outcome["arm"]), right) if part)
    record = {
        "answer": outcome.get("answer", outcome.get("given")),
        "steps": outcome.get("steps"),
        "ended": outcome.get("ended"),
        "usage": outcome.get("usage", {}),
        "seconds": outcome.get("seconds", 0.0),
        "question": outcome.get("question", name),
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
    except ConfigError:
        return {}
    return {"judge": judge.model_dump(mode="json"), "policy": as_json(policy)}


def _of_arm(found: Sequence[Mapping[str, Any]], arm: str | None, problem: str, journal: str) -> Mapping[str, Any]:
    arms = [outcome["arm"] for outcome in found]
    wanted = arm or (arms[0] if len(arms) == 1 else OURS)
    for outcome in found:
        if outcome["arm"] == wanted:
            return outcome
    if not arms:
        raise ConfigError(f"run: {journal} has no problem {problem!r}, or not this sample of it")
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


def _checked(name: str, record: Mapping[str, Any], about: str = "") -> RunPage:
    try:
        return run_page(record, about)
    except ConfigError as error:
        raise ConfigError(f"run: {name} is no run of this version ({str(error)[:_SAID]}); run it anew") from None
    except RecursionError:
        raise ConfigError(f"run: {name} is no run of ours: it is nested too deeply") from None

"""`specreason doctor`: what is right and wrong with a pair of servers, and one real step on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from specreason_graph.contract.config import PairConfig
from specreason_graph.contract.settings import Role, Settings
from specreason_graph.judging.catalog import Catalog
from specreason_graph.models.pair import Pair
from specreason_graph.tools.doctor import reasoning, servers, speculation, speed
from specreason_graph.tools.doctor.case import Case
from specreason_graph.tools.doctor.check import Check, Probe, checked
from specreason_graph.tools.doctor.trial import DraftedStep, JudgeCall, Trial
from specreason_graph.tools.forecast import Speculation
from specreason_graph.tools.predict import Mode, Timings

__all__ = ["Check", "Diagnosis", "DraftedStep", "JudgeCall", "diagnose"]

_ROLES: tuple[Role, Role] = ("base", "draft")
_STEP_NEEDS = ("model", "preset", "template", "context", "log-probs", "labels", "tokenizers")


class Diagnosis(NamedTuple):
    """Every check in the order it was made, and the real step, where it came to that."""

    checks: list[Check]
    step: DraftedStep | None
    judge: JudgeCall | None
    latency: dict[Role, float]
    """Seconds of a call of one token with its prompt in the prefix cache, where that was measured."""
    rates: dict[Role, float]
    """Tokens a second of one stream, likewise."""
    base_pass: float | None
    """Seconds of a pass of base, likewise; with speculative decoding, what it takes to propose is in it."""
    speculation: Speculation | str
    """How base decodes speculatively or would, or why that is not to be had."""
    overlap: Mode
    """What a run on this pair does at the same time."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; warnings may be there."""
        return all(check.state != "wrong" for check in self.checks)

    @property
    def timings(self) -> Timings | None:
        """For the formula, base decoding a token a pass; None where one of them could not be measured."""
        if self.base_pass is None or "draft" not in self.rates or self.judge is None:
            return None
        return Timings(
            base_token=self.base_pass,
            base_first=self.latency["base"],
            draft_token=1 / self.rates["draft"],
            draft_first=self.latency["draft"],
            judge=self.judge["seconds"],
        )


async def diagnose(
    config: PairConfig, settings: Settings, catalog: Catalog, question: str, looking: Callable[[str], None]
) -> Diagnosis:
    """Examine a pair, one thing at a time: what runs beside a measurement would change it.

    Args:
        config: where the servers are.
        settings: of the run that is meant to work on them.
        catalog: presets, judges and policies it may name.
        question: what the real step is about.
        looking: told what is looked at next.
    """
    async with Pair(config) as pair:
        case = Case(config, pair, settings, catalog, question)
        trial = Trial(case)
        checks: list[Check] = []
        for probe in _plan(case, trial):
            looking(f"{probe.role or 'pair'}: {probe.name}")
            checks.append(await checked(probe, checks))
    found = case.latency, case.rates, case.base_pass, case.speculation, case.overlap
    return Diagnosis(checks, trial.step, trial.judged, *found)


def _plan(case: Case, trial: Trial) -> Iterator[Probe]:
    for role in _ROLES:
        upper = role.upper()
        fix = f"start the server, or give its address: --{role}-url or SPECREASON_{upper}_URL"
        yield Probe("server", role, partial(servers.server, case, role), fix)
        fix = f"name one that it serves: SPECREASON_{upper}_MODEL"
        yield Probe("model", role, partial(servers.model, case, role), fix, ["server"])
    yield Probe("preset", None, partial(reasoning.preset, case), needs=[] if case.named else ["model"])
    for role in _ROLES:
        yield from _of_server(case, role)
    yield Probe("judge", None, partial(reasoning.judge, case), "another --judge or --threshold", ["model", "preset"])
    yield Probe("labels", None, partial(reasoning.labels, case), needs=["template", "judge"])
    yield Probe("tokenizers", None, partial(reasoning.tokenizers, case), needs=["model"])
    yield Probe("cost ratio", None, partial(speed.cost_ratio, case), needs=["decoding"])
    yield Probe("speculation", None, partial(speculation.speculation, case), needs=["decoding", "tokenizers"])
    yield Probe("draft step", None, trial.draft, needs=_STEP_NEEDS)
    yield Probe("judge call", None, trial.judge, needs=["draft step", "top log-probs"])


def _of_server(case: Case, role: Role) -> Iterator[Probe]:
    fix = "vLLM: --chat-template FILE, or a model that has one"
    yield Probe("template", role, partial(reasoning.template, case, role), fix, ["model", "preset"])
    yield Probe("context", role, partial(servers.context, case, role), needs=["model"])
    fix = "name the server itself: a proxy may drop them"
    yield Probe("log-probs", role, partial(servers.logprobs, case, role), fix, ["model"])
    if role == "base":
        fix = "vLLM: --max-logprobs 20"
        yield Probe("top log-probs", role, partial(servers.top_logprobs, case, role), fix, ["log-probs"])
    yield Probe("cached counts", role, partial(servers.cached_counts, case, role), needs=["log-probs"])
    yield Probe("images", role, partial(servers.images, case, role), needs=["model"])
    yield Probe("latency", role, partial(speed.latency, case, role), needs=["log-probs"])
    yield Probe("prefix cache", role, partial(speed.prefix_cache, case, role), needs=["latency"])
    yield Probe("decoding", role, partial(speed.decode_rate, case, role), needs=["latency"])

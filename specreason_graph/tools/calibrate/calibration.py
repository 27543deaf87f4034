"""From labelled chains to a calibration: what each piece of evidence can tell, a fitted policy, and what to expect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from specreason_graph.contract.errors import ConfigError
from specreason_graph.judging.features import WITHOUT_BASE
from specreason_graph.models.presets import Judge
from specreason_graph.tools.calibrate.chains import Chain
from specreason_graph.tools.calibrate.curve import Point, curve, lowest_within
from specreason_graph.tools.calibrate.dataset import Steps, candidates, steps_for
from specreason_graph.tools.calibrate.fit import Auroc, Fit, auroc, fit

_WORTH = 0.02  # AUROC that a further request has to add to be asked on every step


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was found out on a pair."""

    problems: int
    solved: int
    """By base alone."""
    steps: Steps
    fit: Fit
    evidence: dict[str, Auroc]
    """Each single piece of evidence, as `judge.feature`."""
    fits: dict[str, Auroc]
    """The fitted policy on each judge's evidence, by judge."""
    curve: list[Point]
    chosen: Point | None
    """None: no threshold keeps to the target."""

    @property
    def can_tell(self) -> bool:
        """Whether the policy tells fine steps from bad ones at all: chance is outside its interval."""
        return self.fit.auroc.interval[0] > 0.5


def calibrate(
    chains: Sequence[Chain],
    judges: Sequence[Judge],
    *,
    on: str | None = None,
    max_loss: float | None = None,
    max_bad_rate: float | None = None,
) -> Calibration:
    """Fit a policy on every judge's evidence and keep one.

    Args:
        chains: labelled, of problems with and without steps.
        judges: those that gave evidence.
        on: the judge to fit on; None takes the one request that tells most, and two only where they tell clearly more.
        max_loss: target for the answers lost against base alone, in fractions of all problems.
        max_bad_rate: target for the share of accepted steps that are bad.

    Raises:
        ConfigError: too few labelled steps, or no judge called `on`.
    """
    found = {judge.name: steps_for(judge, chains) for judge in candidates(judges)}
    if on is not None and on not in found:
        raise ConfigError(f"fit_on: there is no {on!r}; evidence is there for {', '.join(found)}")
    fits = {name: fit(steps) for name, steps in found.items() if on in (None, name)}
    best = on or max(fits, key=lambda name: fits[name].auroc.auroc - (_WORTH if "+" in name else 0.0))
    steps, chosen_fit = found[best], fits[best]
    solved = sum(chain["base_right"] for chain in chains)
    points = curve(chosen_fit.held_out, steps.fine, steps.problems, _seen(chains, steps))
    loss = None if max_loss is None else max_loss * len(chains) / max(solved, 1)
    return Calibration(
        problems=len(chains),
        solved=solved,
        steps=steps,
        fit=chosen_fit,
        evidence=_single_pieces([found[judge.name] for judge in judges]),
        fits={name: one.auroc for name, one in fits.items()},
        curve=points,
        chosen=lowest_within(points, lost=loss, bad_rate=max_bad_rate),
    )


def _seen(chains: Sequence[Chain], steps: Steps) -> int:
    """Problems that base solves and whose steps, where they have any, this judge gave evidence on."""
    names = set(steps.problems)
    return sum(chain["base_right"] and (not chain["steps"] or chain["problem"] in names) for chain in chains)


def _single_pieces(asked: Sequence[Steps]) -> dict[str, Auroc]:
    """Every feature by itself; what comes free with the draft carries no judge's name."""
    values: dict[str, tuple[list[float], Steps]] = {}
    for steps in asked:
        rows = steps.features()
        for name in sorted({name for row in rows for name in row}):
            key = name if name in WITHOUT_BASE else f"{steps.judge.name}.{name}"
            have = [at for at, row in enumerate(rows) if name in row]
            if key not in values or len(have) > len(values[key][0]):
                values[key] = ([rows[at][name] for at in have], steps.only(have))
    return {
        key: auroc(value, steps.fine, steps.problems)
        for key, (value, steps) in values.items()
        if len(set(steps.fine)) == 2
    }

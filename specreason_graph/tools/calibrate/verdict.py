"""A calibration in plain words, and as one JSON object."""

from __future__ import annotations

from typing import Any

from specreason_graph.tools.calibrate.calibration import Calibration

_REMEDIES = (
    "What then helps: ask another judge (--ask), take a draft model that is closer to base, let base write the first "
    "steps and more steps after a reject (first_steps, base_steps_after_reject), or use base alone."
)


def verdict(found: Calibration) -> str:
    """What to expect of this pair, a paragraph; says so when the judge can't tell."""
    steps, auroc = found.steps, found.fit.auroc
    bad = len(steps.fine) - sum(steps.fine)
    lines = [
        f"{len(steps.fine)} labelled steps of {len(set(steps.problems))} problems, {bad} bad; base alone solves "
        f"{found.solved} of {found.problems}.",
        f"On problems left out of the fit, the policy on judge `{steps.judge.name}` ranks a fine step above a bad one "
        f"{_rate(auroc.auroc)} of the time (AUROC {auroc.auroc:.2f}, 95 % {auroc.interval[0]:.2f} to "
        f"{auroc.interval[1]:.2f}; 0.5 is chance).",
    ]
    if not found.can_tell:
        lines.append("The judge can't tell: that is not clearly above chance, so no threshold is better than a coin.")
        lines.append(_REMEDIES)
    elif found.chosen is None:
        lines.append("No threshold keeps to the target on these problems; the curve shows what each one costs.")
        lines.append(_REMEDIES)
    else:
        point = found.chosen
        loss = point["lost"] * found.solved / found.problems
        lines.append(
            f"At threshold {point['threshold']:.3f} it would accept {_rate(point['acceptance'])} of the steps, "
            f"{_rate(point['bad_rate'])} of those bad. Expect to lose at most about {100 * loss:.0f} points of "
            "accuracy to accepted bad steps, if none is made good later."
        )
    return " ".join(lines)


def as_json(found: Calibration, policy_path: str | None) -> dict[str, Any]:
    """The calibration for scripts."""
    return {
        "problems": found.problems,
        "solved": found.solved,
        "steps": len(found.steps.fine),
        "bad": len(found.steps.fine) - sum(found.steps.fine),
        "evidence": {name: one._asdict() for name, one in found.evidence.items()},
        "policies": {name: one._asdict() for name, one in found.fits.items()},
        "policy": {**found.fit.auroc._asdict(), "judge": found.steps.judge.name, "path": policy_path},
        "curve": found.curve,
        "chosen": found.chosen,
        "verdict": verdict(found),
    }


def _rate(value: float) -> str:
    return f"{100 * value:.0f} %"

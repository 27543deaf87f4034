"""The risk-acceptance curve as a picture."""

from __future__ import annotations

from pathlib import Path

from specreason_graph.tools.calibrate.calibration import Calibration
from specreason_graph.tools.extra import extra


def risk_against_acceptance(found: Calibration, path: Path) -> None:
    """Bad steps among the accepted, and solved problems lost, against acceptance, beside accepting at random."""
    figure = extra("matplotlib.figure", "calibrate").Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    x = [100 * point["acceptance"] for point in found.curve]
    axes.plot(
        x, [100 * point["bad_rate"] for point in found.curve], color="#0072B2", label="accepted steps that are bad"
    )
    axes.plot(x, [100 * point["lost"] for point in found.curve], color="#D55E00", label="solved problems lost")
    everything = found.curve[0]
    axes.axhline(100 * everything["bad_rate"], color="#777777", ls=":", label="bad steps when accepting at random")
    if found.chosen is not None:
        axes.axvline(100 * found.chosen["acceptance"], color="#009E73", ls="--", label="chosen threshold")
    axes.set(xlabel="acceptance (%)", ylabel="%", xlim=(0, 100), ylim=(0, None))
    axes.set_title(
        f"{found.steps.judge.name}: {len(found.steps.fine)} steps of {len(set(found.steps.problems))} problems"
    )
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)

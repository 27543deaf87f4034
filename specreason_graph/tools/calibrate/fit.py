"""How well a piece of evidence tells fine steps from bad ones, and the logistic model that weighs them together.

Everything is by problem: steps of one problem are never on both sides of a split, and intervals resample problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from specreason_graph.contract.errors import ConfigError
from specreason_graph.judging.policy import Weight
from specreason_graph.tools.calibrate.dataset import Steps
from specreason_graph.tools.extra import extra

FITTED = ("lowest3", "mean", "gap_lowest3", "lowest_word", "lowest_result", "length", "label_score")
"""Features that the model may weigh: few, since labelled steps are dear."""

_LEAST = 8  # steps of each kind; with fewer a fit says nothing
_FOLDS, _REPEATS = 5, 10
_DRAWS = 2_000
_STRENGTH = 0.1  # inverse of the L2 penalty on standardised features, which are strongly correlated


class Auroc(NamedTuple):
    """Chance that a fine step looks better than a bad one (0.5 tells nothing), with its 95 % interval."""

    auroc: float
    interval: tuple[float, float]


class Fit(NamedTuple):
    """A logistic model of P(step is fine), and what it says of each step when its problem is left out."""

    intercept: float
    weights: dict[str, Weight]
    held_out: list[float]
    auroc: Auroc


def auroc(values: Sequence[float], fine: Sequence[bool], problems: Sequence[str]) -> Auroc:
    """AUROC of a value that should be higher for fine steps, bootstrapped by problem."""
    np = extra("numpy", "calibrate")
    x, y = np.asarray(values, dtype=float), np.asarray(fine)
    better = (x[y][:, None] > x[~y]) + 0.5 * (x[y][:, None] == x[~y])  # every fine step against every bad one
    names, group = np.unique(problems, return_inverse=True)
    drawn = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), _DRAWS)[:, group]
    of_fine, of_bad = drawn[:, y], drawn[:, ~y]  # how often each step is in each draw
    pairs = of_fine.sum(axis=1) * of_bad.sum(axis=1)
    won = ((of_fine @ better) * of_bad).sum(axis=1)
    low, high = np.quantile(won[pairs > 0] / pairs[pairs > 0], [0.025, 0.975])
    return Auroc(float(better.mean()), (float(low), float(high)))


def fit(steps: Steps) -> Fit:
    """Fit the policy's weights, and judge every step by a fit that left its problem out.

    Raises:
        ConfigError: too few labelled steps of one kind.
    """
    bad = len(steps.fine) - sum(steps.fine)
    spread = [
        len({p for p, fine in zip(steps.problems, steps.fine, strict=True) if fine is kind}) for kind in (False, True)
    ]
    if min(bad, len(steps.fine) - bad) < _LEAST or min(spread) < _FOLDS:
        raise ConfigError(
            f"problems: {len(steps.fine)} labelled steps, {bad} of them bad, are too few for a policy, which wants at "
            f"least {_LEAST} fine and {_LEAST} bad ones, of {_FOLDS} problems each; give more problems, or harder ones"
        )
    np, y = extra("numpy", "calibrate"), steps.fine
    found = steps.features()
    names = [name for name in FITTED if any(name in step for step in found)]
    x = np.array([[step.get(name, np.nan) for name in names] for step in found])
    x = np.where(np.isnan(x), np.nanmean(x, axis=0), x)
    held_out = np.mean([_held_out(x, y, steps.problems, seed) for seed in range(_REPEATS)], axis=0).tolist()
    scaler, logistic = (part for _, part in _model().fit(x, y).steps)
    weights = {
        name: Weight(weight=float(weight / scale), mean=float(mean))
        for name, weight, scale, mean in zip(names, logistic.coef_[0], scaler.scale_, scaler.mean_, strict=True)
    }
    return Fit(float(logistic.intercept_[0]), weights, held_out, auroc(held_out, steps.fine, steps.problems))


def _held_out(x: Any, y: Sequence[bool], problems: Sequence[str], seed: int) -> Any:
    """Each step's probability by a fit without its problem; folds are alike in bad steps, else their fits differ."""
    selection = extra("sklearn.model_selection", "calibrate")
    folds = selection.StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    return selection.cross_val_predict(_model(), x, y, groups=problems, cv=folds, method="predict_proba")[:, 1]


def _model() -> Any:
    scaler = extra("sklearn.preprocessing", "calibrate").StandardScaler()
    logistic = extra("sklearn.linear_model", "calibrate").LogisticRegression(C=_STRENGTH)
    return extra("sklearn.pipeline", "calibrate").make_pipeline(scaler, logistic)

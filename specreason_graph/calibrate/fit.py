"""How well a piece of evidence tells fine steps from bad ones, and the logistic model that weighs them together.

Everything is by problem: steps of one problem are never on both sides of a split, and intervals resample problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from specreason_graph.bench.problems import extra
from specreason_graph.calibrate.dataset import Steps
from specreason_graph.errors import ConfigError
from specreason_graph.policy import Weight

FITTED = ("lowest", "lowest3", "lowest_result", "gap_lowest3", "draft_lowest", "length", "place", "ends", "label_score")
"""Features that the model may weigh: few, since labelled steps are dear."""

_LEAST = 8  # steps of each kind; with fewer a fit says nothing
_FOLDS = 10
_DRAWS = 1_000
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
    np, score = extra("numpy", "calibrate"), extra("sklearn.metrics", "calibrate").roc_auc_score
    x, y = np.asarray(values, dtype=float), np.asarray(fine)
    rows = _rows_by_problem(problems)
    random, drawn = np.random.default_rng(0), []
    for _ in range(_DRAWS):
        at = np.concatenate([rows[i] for i in random.integers(0, len(rows), len(rows))])
        if 0 < y[at].sum() < len(at):
            drawn.append(score(y[at], x[at]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Auroc(float(score(y, x)), (float(low), float(high)))


def fit(steps: Steps) -> Fit:
    """Fit the policy's weights, and judge every step by a fit that left its problem out.

    Raises:
        ConfigError: too few labelled steps of one kind.
    """
    bad, problems = len(steps.fine) - sum(steps.fine), len(set(steps.problems))
    if min(bad, sum(steps.fine)) < _LEAST or problems < 2:
        raise ConfigError(
            f"problems: {len(steps.fine)} labelled steps, {bad} of them bad, are too few for a policy, which wants at "
            f"least {_LEAST} fine and {_LEAST} bad ones; give more problems, or harder ones"
        )
    np, y = extra("numpy", "calibrate"), steps.fine
    found = steps.features()
    names = [name for name in FITTED if any(name in step for step in found)]
    x = np.array([[step.get(name, np.nan) for name in names] for step in found])
    x = np.where(np.isnan(x), np.nanmean(x, axis=0), x)
    folds = extra("sklearn.model_selection", "calibrate").GroupKFold(min(_FOLDS, problems))
    held_out = (
        extra("sklearn.model_selection", "calibrate")
        .cross_val_predict(_model(), x, y, groups=steps.problems, cv=folds, method="predict_proba")[:, 1]
        .tolist()
    )
    scaler, logistic = (part for _, part in _model().fit(x, y).steps)
    weights = {
        name: Weight(weight=float(weight / scale), mean=float(mean))
        for name, weight, scale, mean in zip(names, logistic.coef_[0], scaler.scale_, scaler.mean_, strict=True)
    }
    return Fit(float(logistic.intercept_[0]), weights, held_out, auroc(held_out, steps.fine, steps.problems))


def _model() -> Any:
    scaler = extra("sklearn.preprocessing", "calibrate").StandardScaler()
    logistic = extra("sklearn.linear_model", "calibrate").LogisticRegression(C=_STRENGTH)
    return extra("sklearn.pipeline", "calibrate").make_pipeline(scaler, logistic)


def _rows_by_problem(problems: Sequence[str]) -> list[list[int]]:
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(problems):
        rows.setdefault(name, []).append(row)
    return list(rows.values())

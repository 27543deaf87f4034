"""Labelled steps as a judge sees them: which evidence it would have had on each, and whether the step was fine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from specreason_graph.contract.evidence import Evidence
from specreason_graph.judging.features import features
from specreason_graph.models.presets import Judge
from specreason_graph.tools.calibrate.chains import Chain, LabelledStep


@dataclass(frozen=True, slots=True)
class Steps:
    """Labelled steps with one judge's evidence; the lists run side by side."""

    judge: Judge
    problems: list[str]
    fine: list[bool]
    evidence: list[Evidence]

    def features(self) -> list[dict[str, float]]:
        """The features of every step."""
        return [features(evidence, self.judge.labels) for evidence in self.evidence]

    def only(self, rows: Sequence[int]) -> Steps:
        """Some of the steps."""
        return Steps(
            self.judge,
            [self.problems[row] for row in rows],
            [self.fine[row] for row in rows],
            [self.evidence[row] for row in rows],
        )


def candidates(judges: Sequence[Judge]) -> list[Judge]:
    """The judges that a policy can be fitted on: each asked one, and spots with each request for a label beside."""
    spots = [judge for judge in judges if judge.spots and not judge.labels]
    both = [
        labels.model_copy(update={"name": f"{one.name}+{labels.name}", "spots": one.spots})
        for one in spots
        for labels in judges
        if labels.labels and not labels.spots
    ]
    return [*judges, *both]


def steps_for(judge: Judge, chains: Sequence[Chain]) -> Steps:
    """The steps on which there is all the evidence that this judge asks for."""
    found = [
        (chain["problem"], step["fine"], evidence)
        for chain in chains
        for step in chain["steps"]
        if (evidence := _evidence(judge, step)) is not None
    ]
    return Steps(judge, [row[0] for row in found], [row[1] for row in found], [row[2] for row in found])


def _evidence(judge: Judge, step: LabelledStep) -> Evidence | None:
    names = judge.name.split("+")
    if not all(name in step["evidence"] for name in names):
        return None
    evidence = step["evidence"][names[0]].copy()
    for more in (step["evidence"][name] for name in names[1:]):
        evidence["label_probs"], evidence["label_mass"] = more["label_probs"], more["label_mass"]
        evidence["says_label"] = more["says_label"]
    return evidence

"""SpecReason (arXiv 2504.07891) as a LangGraph component: a draft model proposes steps, the base model judges them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specreason_graph.contract.config import EndpointConfig, PairConfig
    from specreason_graph.contract.errors import ConfigError, EndpointError, SpecReasonError
    from specreason_graph.contract.evidence import Evidence
    from specreason_graph.contract.settings import Settings
    from specreason_graph.contract.state import SpecReasonState, Step
    from specreason_graph.judging.policy import FittedPolicy, FunctionPolicy, load_policy
    from specreason_graph.loop.graph import create_specreason
    from specreason_graph.loop.history import checkpoint_before
    from specreason_graph.loop.human import edited
    from specreason_graph.models.pair import Pair
    from specreason_graph.models.presets import Judge, Preset
    from specreason_graph.use.adapters import specreason_node, specreason_tool
    from specreason_graph.use.answer_schema import AnswerCut, AnswerError
    from specreason_graph.use.chat_model import ChatSpecReason

__all__ = [
    "AnswerCut",
    "AnswerError",
    "ChatSpecReason",
    "ConfigError",
    "EndpointConfig",
    "EndpointError",
    "Evidence",
    "FittedPolicy",
    "FunctionPolicy",
    "Judge",
    "Pair",
    "PairConfig",
    "Preset",
    "Settings",
    "SpecReasonError",
    "SpecReasonState",
    "Step",
    "checkpoint_before",
    "create_specreason",
    "edited",
    "load_policy",
    "specreason_node",
    "specreason_tool",
]

_HOMES = {
    "AnswerCut": "use.answer_schema",
    "AnswerError": "use.answer_schema",
    "ChatSpecReason": "use.chat_model",
    "ConfigError": "contract.errors",
    "EndpointConfig": "contract.config",
    "EndpointError": "contract.errors",
    "Evidence": "contract.evidence",
    "FittedPolicy": "judging.policy",
    "FunctionPolicy": "judging.policy",
    "Judge": "models.presets",
    "Pair": "models.pair",
    "PairConfig": "contract.config",
    "Preset": "models.presets",
    "Settings": "contract.settings",
    "SpecReasonError": "contract.errors",
    "SpecReasonState": "contract.state",
    "Step": "contract.state",
    "checkpoint_before": "loop.history",
    "create_specreason": "loop.graph",
    "edited": "loop.human",
    "load_policy": "judging.policy",
    "specreason_node": "use.adapters",
    "specreason_tool": "use.adapters",
}
"""Where each name is from: looked up when it is first used, since all of them together take seconds to import."""


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:  # a type checker finds what is no name of ours

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

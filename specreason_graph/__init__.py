"""SpecReason (arXiv 2504.07891) as a LangGraph component: a draft model proposes steps, the base model judges them."""

from specreason_graph.contract.config import EndpointConfig, PairConfig
from specreason_graph.contract.errors import ConfigError, EndpointError, SpecReasonError
from specreason_graph.contract.settings import Settings
from specreason_graph.contract.state import Evidence, SpecReasonState, Step
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

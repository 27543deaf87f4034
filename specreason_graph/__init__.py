"""SpecReason (arXiv 2504.07891) as a LangGraph component: a draft model proposes steps, the base model judges them."""

from specreason_graph.adapters import specreason_node, specreason_tool
from specreason_graph.chat_model import ChatSpecReason
from specreason_graph.config import EndpointConfig, PairConfig
from specreason_graph.errors import ConfigError, EndpointError, SpecReasonError
from specreason_graph.graph import create_specreason
from specreason_graph.human import edited
from specreason_graph.pair import Pair
from specreason_graph.policy import FittedPolicy, FunctionPolicy, load_policy
from specreason_graph.presets import Judge, Preset
from specreason_graph.settings import Settings
from specreason_graph.state import Evidence, SpecReasonState, Step

__all__ = [
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
    "create_specreason",
    "edited",
    "load_policy",
    "specreason_node",
    "specreason_tool",
]

"""Clients of the model servers: one interface, two dialects. Knows nothing of LangGraph."""

from specreason_graph.config import EndpointConfig
from specreason_graph.endpoint.llamacpp import LlamaCppEndpoint
from specreason_graph.endpoint.protocol import Endpoint
from specreason_graph.endpoint.vllm import VllmEndpoint

__all__ = ["Endpoint", "connect"]


def connect(role: str, config: EndpointConfig) -> Endpoint:
    """A client for one server; nothing is sent before the first request.

    Args:
        role: how messages call it, such as "base" or "draft".
        config: where it is and which dialect it speaks.
    """
    return LlamaCppEndpoint(role, config) if config.dialect == "llamacpp" else VllmEndpoint(role, config)

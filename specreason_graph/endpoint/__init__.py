"""Clients of the model servers: one interface, two dialects. Knows nothing of LangGraph."""

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.endpoint.llamacpp import LlamaCppEndpoint
from specreason_graph.endpoint.protocol import Endpoint
from specreason_graph.endpoint.replicas import Replicas
from specreason_graph.endpoint.resumed import Resumed
from specreason_graph.endpoint.vllm import VllmEndpoint

_WITH_OTHERS = (
    1.0  # seconds of patience with a server where others can take the request: its prefix cache is worth some
)

__all__ = ["Endpoint", "connect"]


def connect(role: str, config: EndpointConfig) -> Endpoint:
    """A client for one server, or for several of one model; nothing is sent before the first request.

    Args:
        role: how messages call it, such as "base" or "draft".
        config: where it is and which dialect it speaks.
    """
    client = LlamaCppEndpoint if config.dialect == "llamacpp" else VllmEndpoint
    if not config.replicas:
        return Resumed(client(role, config))
    changes = {"patience": min(config.patience, _WITH_OTHERS)}
    urls = (config.base_url, *config.replicas)
    servers = [client(role, config.model_copy(update={**changes, "base_url": url})) for url in urls]
    return Resumed(Replicas(servers, config.patience))

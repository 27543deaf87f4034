"""Clients of the model servers: one interface, two dialects. Knows nothing of LangGraph."""

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.endpoint.llamacpp import LlamaCppEndpoint
from specreason_graph.endpoint.load import Heard
from specreason_graph.endpoint.protocol import Endpoint
from specreason_graph.endpoint.replicas import Replicas
from specreason_graph.endpoint.resumed import Resumed
from specreason_graph.endpoint.retries import patience_with
from specreason_graph.endpoint.vllm import VllmEndpoint

_WITH_OTHERS = 1.0  # seconds where other servers can take the request: this one's prefix cache is worth some

__all__ = ["Endpoint", "connect"]


def connect(role: str, config: EndpointConfig, heard: Heard | None = None) -> Endpoint:
    """A client for one server, or for several of one model; nothing is sent before the first request.

    Args:
        role: how messages call it, such as "base" or "draft".
        config: where it is and which dialect it speaks.
        heard: told how many requests wait in the server, whenever it says so (vLLM does when asked).
    """

    def client(config: EndpointConfig) -> Endpoint:
        return LlamaCppEndpoint(role, config) if config.dialect == "llamacpp" else VllmEndpoint(role, config, heard)

    if not config.replicas:
        return Resumed(client(config))
    patience = patience_with(role, config)
    changes = {"patience": min(patience, _WITH_OTHERS)}
    urls = (config.base_url, *config.replicas)
    servers = [client(config.model_copy(update={**changes, "base_url": url})) for url in urls]
    return Resumed(Replicas(servers, patience))

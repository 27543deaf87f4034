"""SpecReason behind OpenAI's chat completions API: any client, chat UI or harness can use the loop (extra `serve`)."""

from specreason_graph.use.gateway.app import create_app
from specreason_graph.use.gateway.service import Gateway, opened

__all__ = ["Gateway", "create_app", "opened"]

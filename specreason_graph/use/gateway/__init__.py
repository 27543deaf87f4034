"""SpecReason behind OpenAI's chat completions API: any client, chat UI or harness can use the loop (extra `serve`)."""

from specreason_graph.use.gateway.app import create_app
from specreason_graph.use.gateway.ceilings import Ceilings
from specreason_graph.use.gateway.connection import Limits
from specreason_graph.use.gateway.keys import Keys
from specreason_graph.use.gateway.service import Gateway, opened

__all__ = ["Ceilings", "Gateway", "Keys", "Limits", "create_app", "opened"]

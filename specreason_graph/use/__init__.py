"""The ways in: chat model, node and tool, LangGraph Studio, and the gateway behind OpenAI's API."""

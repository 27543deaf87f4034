"""The four nodes. Each is `async (state, run) -> update`, knows no other node, and can be called without a graph."""

if __name__ == "nodes":  # the checkout's root is on sys.path
    raise ImportError("import specreason_graph.nodes instead: this directory is not a package of its own")

from specreason_graph.nodes.draft_step import draft_step
from specreason_graph.nodes.finalize import finalize
from specreason_graph.nodes.judge import judge
from specreason_graph.nodes.regenerate import regenerate

__all__ = ["draft_step", "finalize", "judge", "regenerate"]

"""The graph that `langgraph.json` names: on the `SPECREASON_…` servers, or else on the embedded pair.

The server brings its own checkpointer. Models are looked for when this module is imported, so a server that can't run
does not start.
"""

from __future__ import annotations

from specreason_graph.loop.graph import create_specreason

graph = create_specreason().compile(name="specreason")

"""The loop itself: the graph, and what its nodes share. The nodes are in `specreason_graph.nodes`."""

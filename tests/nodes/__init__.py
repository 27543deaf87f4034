"""Tests of `specreason_graph.nodes`."""

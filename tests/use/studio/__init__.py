"""Tests of `specreason_graph.use.studio`."""

"""Tests of `specreason_graph.tools.bench`."""

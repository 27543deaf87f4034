"""Tests of `specreason_graph.use`."""

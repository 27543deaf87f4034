"""Tests of `specreason_graph.models`."""

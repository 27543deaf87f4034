"""Tests of `specreason_graph.loop`."""

"""Tests of `specreason_graph.generation`."""

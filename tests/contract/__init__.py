"""Tests of `specreason_graph.contract`."""

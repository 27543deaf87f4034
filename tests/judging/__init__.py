"""Tests of `specreason_graph.judging`."""

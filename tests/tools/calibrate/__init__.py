"""Tests of `specreason_graph.tools.calibrate`."""

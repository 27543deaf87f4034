"""Tests of the agents that others build, with the real packages and ChatSpecReason or the graph inside."""

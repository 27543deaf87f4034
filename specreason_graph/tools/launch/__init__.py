"""Starts the two vLLM servers of a pair, checks them, and stops them; vLLM itself is never imported."""

from specreason_graph.tools.launch.launcher import running, serving
from specreason_graph.tools.launch.plan import LaunchPlan, load_plan
from specreason_graph.tools.launch.preflight import prepared
from specreason_graph.tools.launch.server import Progress

__all__ = ["LaunchPlan", "Progress", "load_plan", "prepared", "running", "serving"]

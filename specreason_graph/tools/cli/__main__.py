"""`python -m specreason_graph.tools.cli`."""

from specreason_graph.tools.cli import main

main()

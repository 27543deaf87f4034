"""`python -m specreason_graph.cli`."""

from specreason_graph.cli import main

main()

"""The two models of a run: where they are, what is asked of them once, and how such a pair reasons."""

"""What a command's exit status says."""

OK, ERROR, BAD_USAGE, NO_ANSWER = 0, 1, 2, 3
INTERRUPTED = 130
"""By Ctrl-C, as shells say it of any program."""

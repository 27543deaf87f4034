"""Many runs for long, on servers that fail, with callers that leave and processes that die: `python -m soak`."""

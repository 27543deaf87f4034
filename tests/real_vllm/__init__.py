"""Real vLLM servers on a CPU: what a scripted server can't promise."""

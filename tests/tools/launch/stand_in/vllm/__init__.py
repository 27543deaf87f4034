"""Stands in for vLLM: the module that is run has the same name, and a scripted model behind it."""

"""Tests of the launcher, with a stand-in for vLLM."""

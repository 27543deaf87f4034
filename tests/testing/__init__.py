"""Tests of the scripted servers."""

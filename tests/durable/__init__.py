"""Runs that are killed, on both savers."""

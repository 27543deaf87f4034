"""Measuring a pair: problems, arms, totals and plots (extra `bench`)."""

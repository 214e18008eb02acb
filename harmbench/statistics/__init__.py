"""Estimates, tests and rankings: pure functions of arrays, by subject."""

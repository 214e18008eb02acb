"""Harmonising a user's own scans with a stored fit."""

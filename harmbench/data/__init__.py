"""Scans in memory, and a prepared cohort on disk."""

"""Cohorts from BIDS folders, by recipes."""

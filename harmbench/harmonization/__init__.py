"""Applying a stored fit to a user's own scans."""

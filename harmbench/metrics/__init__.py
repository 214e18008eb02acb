"""Metrics: of images against a reference, and of intensities against a population."""

"""Bundles: results as one file, to publish them, import them and recompute them elsewhere."""

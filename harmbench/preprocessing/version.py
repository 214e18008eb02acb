"""Version of the preprocessing."""

from __future__ import annotations

# Raise it whenever the same file would result in other voxels: cached registrations then
# no longer apply, and cohorts are prepared again.
PREPROCESSING_VERSION = 5

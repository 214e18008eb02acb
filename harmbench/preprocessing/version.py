"""Version of the preprocessing."""

from __future__ import annotations

# Raised whenever the same file would give other voxels; registrations of before are not
# found any more then, and cohorts are prepared anew.
PREPROCESSING_VERSION = 1

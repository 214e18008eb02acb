"""Content-keyed folders on disk: fits, cells and bounds."""

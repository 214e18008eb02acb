"""Computing one fit or one cell."""

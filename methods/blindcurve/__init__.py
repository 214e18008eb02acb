"""Blind harmonisation by learning to undo disturbances of the target's own scans."""

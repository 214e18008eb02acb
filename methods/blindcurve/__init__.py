"""Blind harmonisation: one bias field and one curve, by N4 and by the likelihood under a flow."""

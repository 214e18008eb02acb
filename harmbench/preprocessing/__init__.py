"""Preparing one volume: read, mask, register, resample, normalise."""

"""Calibration of the phantom: the same measurements on real scans and on phantom scans."""

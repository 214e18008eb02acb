"""Cohorts prepared from volumes on disk, however the study lists them."""

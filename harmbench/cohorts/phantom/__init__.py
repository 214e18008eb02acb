"""The phantom: real anatomy rendered by simulated scanners."""

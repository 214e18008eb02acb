"""The phantom: subjects deformed from the MNI152 atlas, on simulated scanners."""

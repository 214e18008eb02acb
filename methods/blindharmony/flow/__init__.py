"""The normalizing flow of BlindHarmony."""

"""Maximum-likelihood harmonisation with the flow of BlindHarmony."""

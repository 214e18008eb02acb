"""BlindHarmony: harmonisation with a normalizing flow that learns the target domain only."""

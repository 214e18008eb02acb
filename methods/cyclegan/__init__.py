"""The paper's unpaired baseline: a CycleGAN between source and target slices."""

"""What computes works: `serial`, `local` and `slurm`."""

"""Methods and images from outside: commands, and submissions."""

"""Training loops and batches for methods that learn."""

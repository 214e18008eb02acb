"""Everything that touches MLflow: what is recorded, read back, registered and served."""

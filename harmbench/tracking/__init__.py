"""Everything that touches MLflow."""

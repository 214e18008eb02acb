"""What a plugin author implements or receives."""

"""Planning, fitting, computing and storing cells."""

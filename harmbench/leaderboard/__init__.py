"""Reading recorded runs into tables."""

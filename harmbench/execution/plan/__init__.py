"""From a request to the cells and fits to compute."""

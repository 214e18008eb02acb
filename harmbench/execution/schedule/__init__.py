"""Jobs, their order, and the processes that run them."""

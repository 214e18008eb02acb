"""From a request to results: plan, compute, schedule."""

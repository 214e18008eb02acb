"""From a table of results to boards, comparisons and exports."""

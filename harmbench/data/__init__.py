"""From files to cohorts: reading, preparing, storing, and the embedded phantom."""

"""Where scans come from: BIDS folders, tables of files, the phantom."""

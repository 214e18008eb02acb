"""General tools that know nothing of scans."""

"""Pages that show results: one file each, nothing fetched, no scripts."""

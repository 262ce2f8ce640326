"""Raw files to a compiled shop folder, and its tables."""

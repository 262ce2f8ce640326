"""Episodes played by many processes."""

"""Episodes recorded elsewhere."""

"""Ray, and what it must have."""

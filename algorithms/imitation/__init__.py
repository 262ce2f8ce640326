"""Imitation of recorded decisions."""

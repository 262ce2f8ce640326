"""Trajectories, preferences made of them, and the shoppers that need no model."""

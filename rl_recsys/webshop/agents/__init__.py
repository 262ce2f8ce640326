"""Agents of others in the shop: what they are shown, how they are reached, and what a session of theirs comes to."""

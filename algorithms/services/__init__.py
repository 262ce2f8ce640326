"""Servers: the shop as an environment for other programs, as pages for people, and a policy as a recommender."""

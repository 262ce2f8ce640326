"""Measurements of learners, clusters and long runs."""

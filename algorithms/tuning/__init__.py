"""Hyper-parameter search with Ray Tune."""

"""Comparisons of arms and studies."""

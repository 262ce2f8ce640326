"""Figures, intervals, tables and pictures of what agents reach."""

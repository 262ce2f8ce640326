"""Lucene's BM25 over a shop's products."""

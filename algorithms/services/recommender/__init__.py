"""The recommender as a service: an application on Ray Serve, its batching engine, and what becomes of feedback."""

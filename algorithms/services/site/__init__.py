"""The shop as pages for people: shopping, what is recorded of it, episodes to watch, and agents to compare with."""

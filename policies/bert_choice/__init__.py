"""The choice model: a BERT that reads a state and scores each of its actions."""

"""What every world shares: tasks, decisions, trajectories, preferences, encodings."""

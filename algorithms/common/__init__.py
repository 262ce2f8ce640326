"""What all algorithms share: settings, the learner, learning from trajectories."""

"""Training runs: their folder, checkpoints, flags and telemetry."""

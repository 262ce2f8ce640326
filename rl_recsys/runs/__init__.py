"""What every job's run has: settings, an output folder, stages, provenance, measurements."""

"""What a training run leaves in its folder, and where. Needs neither torch nor Ray."""

from __future__ import annotations

from pathlib import Path

POLICY, CHECKPOINTS, RESULTS, SNAPSHOTS = "policy", "checkpoints", "result.json", "snapshots"


def snapshot_folder(run: str | Path, minutes: float) -> Path:
    """Where a run's policy after so many minutes of training is."""
    return Path(run) / SNAPSHOTS / f"{minutes:g}-minutes"

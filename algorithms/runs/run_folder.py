"""What a training run leaves in its folder, and where. Needs neither torch nor Ray."""

from __future__ import annotations

from pathlib import Path

POLICY, CHECKPOINTS, RESULTS, SNAPSHOTS = "policy", "checkpoints", "result.json", "snapshots"


def snapshot_folder(run: str | Path, minutes: float) -> Path:
    """Where a run's policy after so many minutes of training is."""
    return Path(run) / SNAPSHOTS / f"{minutes:g}-minutes"


def begun(run: str | Path) -> bool:
    """Whether anything was trained in a run folder, in whatever state it is now."""
    folder = Path(run)
    results = folder / RESULTS
    traces = folder / POLICY, *folder.glob(f"{CHECKPOINTS}/iteration-*")
    return any(trace.exists() for trace in traces) or (results.is_file() and results.stat().st_size > 0)

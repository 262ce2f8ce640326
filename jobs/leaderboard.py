"""Write a page of the results of several agents, one table for each set of equal goals.

python jobs/leaderboard.py runs/rule runs/scored-ppo --out LEADERBOARD.md
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rl_recsys.console.command import Flags, run_job
from rl_recsys.console.terminal import say
from rl_recsys.storage.locations import Place


@dataclass(kw_only=True)
class Arguments(Flags):
    """Make a leaderboard."""

    folders: Annotated[tuple[Place, ...], tyro.conf.Positional]
    """Folders that jobs/evaluate_agent.py wrote (--out)."""
    out: Path = Path("LEADERBOARD.md")
    """File of the page; an earlier page of this job is replaced."""


def main(arguments: Arguments) -> None:
    """Read the results and write the page."""
    from rl_recsys.evaluation.leaderboard import leaderboard, read_results, write_leaderboard

    results = [read_results(folder) for folder in arguments.folders]
    write_leaderboard(arguments.out.expanduser(), leaderboard(results))
    say(f"{arguments.out}: {len(results)} agents")


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)

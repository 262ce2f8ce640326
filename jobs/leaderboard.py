"""Write LEADERBOARD.md from the results of scored agents.

python jobs/leaderboard.py runs/kit/mine/results.json runs/kit/ppo/results.json --out LEADERBOARD.md
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rl_recsys.console.command import Flags, run_job
from rl_recsys.console.terminal import say
from rl_recsys.errors import UserError
from rl_recsys.storage.files import write_text

MARK = "# Leaderboard"


@dataclass(kw_only=True)
class Arguments(Flags):
    """Compare scored agents."""

    results: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """results.json files of jobs/evaluate_agent.py."""
    out: Path = Path("LEADERBOARD.md")
    """File to write; an earlier leaderboard is replaced, nothing else."""


def main(arguments: Arguments) -> None:
    """Read the results and write the page."""
    from rl_recsys.webshop.agents.leaderboard import leaderboard

    if not arguments.results:
        raise UserError("name results.json files of jobs/evaluate_agent.py")
    page, out = leaderboard(arguments.results), arguments.out.expanduser()
    if out.exists() and not out.read_text("utf-8", errors="replace").startswith(MARK):
        raise UserError(f"{out} is no leaderboard: name another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, page)
    say(f"{out}: {len(arguments.results)} results")


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)

"""Look at folders of trajectories, and put those that are wanted into one folder.

python jobs/trajectories.py runs/demo/demonstrations runs/demo/generated
python jobs/trajectories.py runs/a runs/b --sources human policy --minimum-reward 1 --out runs/both
python jobs/trajectories.py runs/damaged --salvage --out runs/whole
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from rl_recsys.console.command import Flags, run_job
from rl_recsys.console.ranges import SHARE
from rl_recsys.console.table import Table
from rl_recsys.console.terminal import say
from rl_recsys.core.trajectory import SOURCES
from rl_recsys.core.trajectory_selection import TrajectorySelection
from rl_recsys.errors import UserError
from rl_recsys.runs.outputs import replaces_its_out
from rl_recsys.storage.locations import Place, place_of
from rl_recsys.webshop.imports.known_goals import SplitFilter

COLUMNS = ("folder", "source", "author", "episodes", "successful", "score", "steps each")


@dataclass(kw_only=True)
class Arguments(Flags):
    """Count, filter and concatenate trajectories."""

    folders: Annotated[tuple[Place, ...], tyro.conf.Positional]
    """Folders of trajectories, in the order in which they are put together."""
    out: Place | None = None
    """Folder for what is kept, written whole or not at all; without it, it is only counted."""
    sources: tuple[Literal["human", "scripted", "policy"], ...] = SOURCES
    """Whose episodes to keep."""
    minimum_reward: Annotated[float, SHARE] = 0.0
    """Keep episodes with at least this reward."""
    split: str | None = None
    """Keep episodes of this split of --shop ("train", "test", ...)."""
    shop: Place | None = None
    """Shop folder that --split is of."""
    salvage: bool = False
    """Leave damaged episodes out, and name them, instead of stopping at the first."""

    def validate(self) -> None:
        """A split is of a shop."""
        super().validate()
        if self.split is not None and self.shop is None:
            raise UserError("--split is of a shop: name it with --shop")


@replaces_its_out
def main(arguments: Arguments) -> None:
    """Read all folders, write what is kept, print what there was."""
    in_split = None if arguments.split is None else SplitFilter(arguments.shop, arguments.split)
    selection = TrajectorySelection(
        arguments.folders,
        sources=arguments.sources,
        minimum_reward=arguments.minimum_reward,
        condition=in_split,
        salvage=arguments.salvage,
    )
    if arguments.out is None:
        selection.count()
    else:
        selection.write(arguments.out)
    if in_split is not None and in_split.unknown:
        say(f"{in_split.unknown} trajectories do not say which goal of a shop they are about, and are left out")
    for error in selection.damage:
        say(f"left out: {error}")
    rows = [
        (*origin, f"{counts.episodes}", f"{counts.success_rate:.1%}", f"{100 * counts.mean_reward:.1f}",
         f"{counts.mean_steps:.1f}")
        for origin, counts in selection.counts.items()
    ]  # fmt: skip
    Table("", COLUMNS, rows).show()
    total = sum(counts.episodes for counts in selection.counts.values())
    repeated = f", {selection.repeated} of them repeat others" if selection.repeated else ""
    say(f"{total} trajectories{'' if arguments.out is None else f' in {place_of(arguments.out)}'}{repeated}")
    if unended := selection.unended_parts():
        listed = ", ".join(map(str, unended))
        say(f"still open, by a service that runs or a writer that was killed; their whole episodes count: {listed}")


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)

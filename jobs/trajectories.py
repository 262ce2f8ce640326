"""Look at folders of trajectories, and put those that are wanted into one folder.

python jobs/trajectories.py runs/demo/demonstrations runs/demo/generated
python jobs/trajectories.py runs/a runs/b --sources human policy --minimum-reward 1 --out runs/both
python jobs/trajectories.py runs/damaged --salvage --out runs/whole
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rl_recsys.console.command import Flags, run_job
from rl_recsys.console.progress import progress
from rl_recsys.console.ranges import SHARE
from rl_recsys.console.table import Table
from rl_recsys.console.terminal import say
from rl_recsys.core.trajectory import SOURCES, Trajectory, TrajectoryWriter, read_trajectories
from rl_recsys.core.trajectory_parts import TrajectoryError, parts_of, was_ended
from rl_recsys.errors import UserError
from rl_recsys.runs.outputs import replaces_its_out
from rl_recsys.storage.files import require_new
from rl_recsys.storage.folders import whole_folder
from rl_recsys.storage.locations import Place, local_folder, place_of
from rl_recsys.webshop import Shop
from rl_recsys.webshop.imports.known_goals import goal_of


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


@replaces_its_out
def main(arguments: Arguments) -> None:
    """Read all folders, write what is kept, print what there was."""
    in_split = _Split.of(arguments)
    damage: list[TrajectoryError] = []
    skip = damage.append if arguments.salvage else None
    counts: dict[tuple[str, str, str], list[tuple[float, bool, int]]] = defaultdict(list)

    def kept() -> Iterator[Trajectory]:
        with progress("trajectories") as task:
            for folder in arguments.folders:
                episodes = read_trajectories(
                    folder, sources=arguments.sources, minimum_reward=arguments.minimum_reward, skip=skip
                )
                for trajectory in episodes:
                    task.advance()
                    if in_split and not in_split(trajectory):
                        continue
                    key = str(folder), trajectory.source, Path(trajectory.author).name
                    counts[key].append((trajectory.reward, trajectory.success, len(trajectory.steps)))
                    yield trajectory

    if arguments.out is None:
        for _ in kept():
            pass
    else:
        require_new(arguments.out)
        with whole_folder(arguments.out, kind="set of trajectories") as aside, TrajectoryWriter(aside) as writer:
            for trajectory in kept():
                writer.append(trajectory)
    if in_split and in_split.unknown:
        say(f"{in_split.unknown} trajectories do not say which goal of a shop they are about, and are left out")
    for error in damage:
        say(f"left out: {error}")
    _print(counts, None if arguments.out is None else place_of(arguments.out))
    killed = [part for folder in arguments.folders for part in parts_of(local_folder(folder)) if not was_ended(part)]
    if killed:
        say(f"not ended by their writers, which were killed or still write: {', '.join(map(str, killed))}")


class _Split:
    """Whether an episode's goal is of a split; counts those of which it is not known."""

    def __init__(self, shop: Shop, name: str):
        self.unknown = 0
        self._shop, self._goals = shop, frozenset(shop.split(name))

    @classmethod
    def of(cls, arguments: Arguments) -> _Split | None:
        if arguments.split is None:
            return None
        if arguments.shop is None:
            raise UserError("--split is of a shop: name it with --shop")
        return cls(Shop.open(arguments.shop), arguments.split)

    def __call__(self, trajectory: Trajectory) -> bool:
        self.unknown += trajectory.goal_index < 0
        return trajectory.goal_index >= 0 and goal_of(trajectory, self._shop) in self._goals


def _print(counts: dict[tuple[str, str, str], list[tuple[float, bool, int]]], out: str | None) -> None:
    columns = ("folder", "source", "author", "episodes", "successful", "score", "steps each")
    rows = []
    for key, episodes in counts.items():
        number = len(episodes)
        rewards, successes, steps = (sum(column) for column in zip(*episodes, strict=True))
        figures = f"{successes / number:.1%}", f"{100 * rewards / number:.1f}", f"{steps / number:.1f}"
        rows.append((*key, str(number), *figures))
    Table("", columns, rows).show()
    total = sum(map(len, counts.values()))
    say(f"{total} trajectories{f' in {out}' if out else ''}")


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)

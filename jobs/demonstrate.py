"""Record demonstrations: the task's demonstrator, which knows what an episode brings, plays training goals.

python jobs/demonstrate.py --shop shops/demo --out runs/demo/demonstrations
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from rl_recsys.console.command import run_job
from rl_recsys.console.ranges import COUNT_OR_ZERO, SEED
from rl_recsys.console.terminal import say
from rl_recsys.core.demonstrations import record_demonstrations
from rl_recsys.core.task_flags import TaskFlags
from rl_recsys.errors import UserError
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.settings import goes_on_with
from rl_recsys.storage.locations import Place, place_of

INCIDENTAL = ("out", "shop", "task")


@dataclass(kw_only=True)
class Arguments(TaskFlags):
    """Record demonstrations."""

    out: Place
    """Folder of trajectories to write, or to go on with after a kill: what is there is not played again."""
    trajectories: Annotated[int, COUNT_OR_ZERO] = 1200
    """Episodes of the task's goals, each of another training goal (the paper has 1,200)."""
    variations: Annotated[int, COUNT_OR_ZERO] = 0
    """Episodes besides, each of a goal that the task makes up: of a shop, some of a product's attributes."""
    seed: Annotated[int, SEED] = 0
    """Decides which goals are played."""

    def validate(self) -> None:
        """Something must be played."""
        super().validate()
        if not self.trajectories + self.variations:
            raise UserError("--trajectories and --variations are both 0: there is nothing to play")


@writes_to_its_out("demonstrate")
def main(arguments: Arguments) -> None:
    """Play, and print how it went."""
    counts = record_demonstrations(
        arguments.open_task(),
        arguments.out,
        trajectories=arguments.trajectories,
        variations=arguments.variations,
        seed=arguments.seed,
    )
    went = f"{counts.successes} successful, {counts.mean_steps:.1f} steps each"
    say(f"{place_of(arguments.out)}: {counts.episodes} trajectories, {went}")


if __name__ == "__main__":
    run_job(main, Arguments, f"{__doc__}\n{goes_on_with(INCIDENTAL)}")

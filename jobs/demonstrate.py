"""Record demonstrations: a scripted shopper that knows the goal plays training goals (its rows say "scripted").

python jobs/demonstrate.py --shop shops/demo --out runs/demo/demonstrations
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import tyro

from rl_recsys.errors import UserError, plain_errors
from rl_recsys.progress import progress
from rl_recsys.settings import claim
from rl_recsys.shop import Shop
from rl_recsys.storage import Place, writes_to_its_out
from rl_recsys.trajectories.record import TrajectoryWriter, read_trajectories
from rl_recsys.trajectories.shoppers import ScriptedShopper, play


@dataclass
class Arguments:
    """Record demonstrations."""

    shop: Place
    """Shop folder made by jobs/prepare.py."""
    out: Place
    """Folder of trajectories to write, or to go on with after a kill: what is there is not played again."""
    trajectories: int = 1200
    """Episodes in all, each of another training goal (the paper has 1,200)."""
    seed: int = 0
    """Decides which goals are played, and how."""


@writes_to_its_out
def main(arguments: Arguments) -> None:
    """Play, and print how it went."""
    shop = Shop.open(arguments.shop)
    training = shop.split("train")
    if arguments.trajectories > len(training):
        raise UserError(
            f"{arguments.trajectories} trajectories asked for, {len(training)} training goals there: "
            f"use --trajectories {len(training)} or fewer"
        )
    goals = random.Random(arguments.seed).sample(training, arguments.trajectories)
    begun = bool(list(arguments.out.glob("part-*.arrows")))
    settings = {"shop": shop.fingerprint, "seed": arguments.seed, "trajectories": arguments.trajectories}
    claim(arguments.out, settings, begun=begun)
    played = set()
    if begun:
        played = {trajectory.goal_index for trajectory in read_trajectories(arguments.out)}
    with TrajectoryWriter(arguments.out) as writer, progress("demonstrate", len(goals)) as task:
        task.resume(len(played))
        for goal in goals:
            if goal in played:
                continue
            shopper = ScriptedShopper(random.Random(f"{arguments.seed}:{goal}"))
            writer.append(play(shop, goal, shopper, source="scripted", author="scripted", seed=arguments.seed))
            task.advance()
    recorded = list(read_trajectories(arguments.out))
    successes = sum(trajectory.success for trajectory in recorded)
    steps = sum(len(trajectory.steps) for trajectory in recorded) / len(recorded)
    print(f"{arguments.out}: {len(recorded)} trajectories, {successes} successful, {steps:.1f} steps each")


if __name__ == "__main__":
    with plain_errors():
        main(tyro.cli(Arguments, description=__doc__))

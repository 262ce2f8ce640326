"""Record demonstrations: a scripted shopper that knows what a purchase brings plays training goals.

python jobs/demonstrate.py --shop shops/demo --out runs/demo/demonstrations
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

from rl_recsys.console.command import Flags, run_job
from rl_recsys.console.progress import progress
from rl_recsys.console.ranges import COUNT_OR_ZERO, SEED
from rl_recsys.console.terminal import say
from rl_recsys.core.trajectory import TrajectoryWriter, read_trajectories
from rl_recsys.errors import UserError
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.settings import claim
from rl_recsys.storage.locations import Place, place_of
from rl_recsys.webshop import Shop
from rl_recsys.webshop.goals.goal import Goal
from rl_recsys.webshop.goals.variations import GoalVariations
from rl_recsys.webshop.shoppers import SCRIPTED, play, scripted_shopper

WHAT = ("seed", "trajectories", "variations")  # decide what is played


@dataclass
class Arguments(Flags):
    """Record demonstrations."""

    shop: Place
    """Shop folder made by jobs/prepare.py."""
    out: Place
    """Folder of trajectories to write, or to go on with after a kill: what is there is not played again."""
    trajectories: Annotated[int, COUNT_OR_ZERO] = 1200
    """Episodes of the shop's goals, each of another training goal (the paper has 1,200)."""
    variations: Annotated[int, COUNT_OR_ZERO] = 0
    """Episodes besides, each of a goal that the shop does not have: some of a product's attributes, in other words."""
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
    shop = Shop.open(arguments.shop)
    training = shop.split("train")
    if arguments.trajectories > len(training):
        raise UserError(
            f"{arguments.trajectories} trajectories asked for, {len(training)} training goals there: "
            f"use --trajectories {len(training)} or fewer"
        )
    goals = _goals(arguments, shop, training)
    begun = bool(list(arguments.out.glob("part-*.arrows")))
    settings = {"shop": shop.fingerprint, "shopper": SCRIPTED} | {name: getattr(arguments, name) for name in WHAT}
    claim(arguments.out, settings, begun=begun)
    played = [trajectory.goal for trajectory in read_trajectories(arguments.out)] if begun else []
    left = _left(shop, goals, Counter(map(_key, played)))
    with TrajectoryWriter(arguments.out) as writer, progress("demonstrate", len(goals)) as task:
        task.resume(len(goals) - len(left))
        for goal in left:
            writer.append(play(shop, goal, scripted_shopper, source="scripted", author="scripted", seed=arguments.seed))
            task.advance()
    recorded = list(read_trajectories(arguments.out))
    successes = sum(trajectory.success for trajectory in recorded)
    steps = sum(len(trajectory.steps) for trajectory in recorded) / len(recorded)
    say(f"{place_of(arguments.out)}: {len(recorded)} trajectories, {successes} successful, {steps:.1f} steps each")


def _left(shop: Shop, goals: Sequence[int | Goal], played: Counter[str]) -> list[int | Goal]:
    """The goals that were not played yet, also where a part of what was played is gone."""
    left = []
    for goal in goals:
        key = _key(asdict(shop.goal(goal) if isinstance(goal, int) else goal))
        if played[key]:
            played[key] -= 1
        else:
            left.append(goal)
    return left


def _key(goal: dict) -> str:
    return json.dumps([goal["asin"], goal["instruction_text"], goal["goal_options"]])


def _goals(arguments: Arguments, shop: Shop, training: Sequence[int]) -> list[int | Goal]:
    """What to play, in order: goals of the shop and others, mixed, so that the first ones are of both."""
    rng = random.Random(arguments.seed)
    goals: list[int | Goal] = list(rng.sample(training, arguments.trajectories))
    if arguments.variations:
        others = GoalVariations(shop, seed=arguments.seed)
        goals += [others.goal(number) for number in range(arguments.variations)]
        rng.shuffle(goals)
    return goals


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)

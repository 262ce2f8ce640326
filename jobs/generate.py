"""Generate trajectories: a policy plays training goals until enough of its episodes succeed (reward exactly 1).

    python jobs/generate.py --shop shops/demo --policy runs/demo/seed-0/imitation/policy --out runs/demo/generated

Loops are cut out of the successful episodes. The failed ones are kept as they are: they are what better ones can be
preferred to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from rl_recsys.console.command import run_job
from rl_recsys.console.progress import format_seconds
from rl_recsys.console.ranges import COUNT, SEED, WEIGHT
from rl_recsys.console.terminal import say
from rl_recsys.core.task_flags import TaskFlags
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.settings import goes_on_with
from rl_recsys.storage.locations import Place, place_of

INCIDENTAL = ("out", "shop", "task", "trajectories", "num_workers", "num_gpus")


@dataclass(kw_only=True)
class Arguments(TaskFlags):
    """Generate trajectories."""

    policy: Place
    """Policy folder that plays; its actions are sampled."""
    out: Place
    """Folder of trajectories to write, or to go on with after a kill: what is there is not played again."""
    trajectories: Annotated[int, COUNT] = 100
    """Successful episodes to collect (the paper has 100)."""
    group: Annotated[int, COUNT] = 1
    """Episodes of each goal, one after the other: 8, say, to compare better ones with worse."""
    seed: Annotated[int, SEED] = 0
    """Decides the order of the goals and the draws of the policy."""
    num_workers: Annotated[int, COUNT] = 2
    """Rollout processes."""
    num_gpus: Annotated[float, WEIGHT] = 0
    """GPUs shared by the rollout processes."""


@writes_to_its_out("generate")
def main(arguments: Arguments) -> None:
    """Play until there are enough, and print how it went."""
    task = arguments.open_task()
    from algorithms.rollouts.generation import generate_trajectories

    generated = generate_trajectories(
        task,
        arguments.policy,
        arguments.out,
        successes=arguments.trajectories,
        group=arguments.group,
        seed=arguments.seed,
        num_workers=arguments.num_workers,
        num_gpus=arguments.num_gpus,
    )
    counts = generated.counts
    episodes = f"{counts.successes} successful trajectories of {counts.episodes} episodes ({counts.success_rate:.1%})"
    say(f"{place_of(arguments.out)}: {episodes}, {format_seconds(generated.seconds)}")


if __name__ == "__main__":
    run_job(main, Arguments, f"{__doc__}\n{goes_on_with(INCIDENTAL)}")

"""Fine-tune a policy with PPO: rollout workers, each with a world and a shard of the training goals, feed one learner.

python jobs/ppo.py --shop shops/demo --policy runs/demo/seed-0/imitation/policy --out runs/demo/ppo
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from algorithms.common.ranges import (
    BATCH,
    CLIP,
    DISCOUNT,
    DOUBT,
    ENTROPY,
    ENVIRONMENTS,
    EPOCHS,
    HEAD_RATE,
    IMITATION_WEIGHT,
    KL_WEIGHT,
    ROLLOUT_STEPS,
    UPDATES,
)
from algorithms.runs.training_flags import INCIDENTAL, TrainingArguments
from rl_recsys.console.command import run_job
from rl_recsys.console.ranges import SHARE
from rl_recsys.console.terminal import say
from rl_recsys.errors import UserError
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.settings import goes_on_with
from rl_recsys.storage.locations import Place, absolute, place_of


@dataclass(kw_only=True)
class Arguments(TrainingArguments):
    """PPO."""

    policy: Place
    """Policy folder to start from."""
    head_rate: Annotated[float, HEAD_RATE] = 10.0
    """The head's learning rate as a multiple of --learning-rate, 1 to 100 as a rule."""
    batch: Annotated[int, BATCH] = 32
    """Decisions a gradient step; small batches want a lower --learning-rate (at 4, 1e-5 was too much and 3e-6 not)."""
    rollout_steps: Annotated[int, ROLLOUT_STEPS] = 512
    """Environment steps sampled an iteration, by all workers together."""
    updates: Annotated[int | None, UPDATES] = None
    """Gradient steps after which the run ends, in the middle of an iteration if need be; by default only --iterations
    ends it. --warmup and --final-rate are laid out over them."""
    environments: Annotated[int, ENVIRONMENTS] = 8
    """Sessions a worker plays at once; their decisions are scored together."""
    epochs: Annotated[int, EPOCHS] = 2
    """Passes over the sampled decisions that are learnt from."""
    clip: Annotated[float, CLIP] = 0.2
    """PPO's clip: how far from 1 the probability ratio may count."""
    entropy: Annotated[float, ENTROPY] = 0.0
    """Weight of the entropy bonus; an imitation policy starts with more entropy than it needs."""
    kl_weight: Annotated[float, KL_WEIGHT] = 0.0
    """Weight of the divergence from the policy that the run starts from; it keeps the policy near it."""
    imitation_weight: Annotated[float, IMITATION_WEIGHT] = 0.0
    """Weight of the imitation loss on --trajectories."""
    trajectories: Place | None = None
    """Folder of demonstrations for the imitation term."""
    variations: Annotated[float, SHARE] = 0.0
    """Share of the episodes whose goal the task makes up: of a shop, of a product's attributes and options, and never
    of a product that only held-out goals are about."""
    discount: Annotated[float, DISCOUNT] = 0.98
    """Discount factor gamma. It pays for haste: at 0.9 success in 59 % of the episodes is worth as much as
    five steps later in all, at 0.98 success in 90 % (docs/learning.md compares the two)."""
    doubt: Annotated[float, DOUBT] = 0.01
    """Pages where the policy left less probability to all but one action are not learnt from; 0 keeps all,
    as --kl-weight and --entropy do."""
    average: bool = True
    """Write the average of the iterations' weights, the later ones counting more, instead of the last ones."""

    def validate(self) -> None:
        """What a worker samples must be enough for a gradient step."""
        super().validate()
        if self.batch > self.steps_of_learner:
            share = f" of each of {self.num_learners} learners" if self.num_learners > 1 else ""
            raise UserError(
                f"--batch is {self.batch}, it must be at most --rollout-steps, {self.steps_of_learner}{share}"
            )
        if self.imitation_weight and not self.trajectories:
            raise UserError("--imitation-weight needs demonstrations: name their folder with --trajectories")

    @property
    def steps_of_learner(self) -> int:
        """Environment steps that are sampled for each learner."""
        return max(1, self.rollout_steps // self.num_learners)


@writes_to_its_out("ppo")
def main(arguments: Arguments) -> None:
    """Train and say where the policy is."""
    from algorithms.ppo import PPOConfig
    from algorithms.runs.training_job import configure, run
    from envs import register_with_ray

    register_with_ray()
    steps = arguments.steps_of_learner
    policy = absolute(arguments.policy)
    config = configure(
        PPOConfig(), arguments, arguments.policy, updates=arguments.updates,
        ticks=arguments.updates or arguments.iterations * steps * arguments.num_learners,
    )  # fmt: skip
    config.environment(
        env_config={
            "task": arguments.open_task().spec,
            "policy": policy,
            "goals": "train",
        }
        | ({"variations": arguments.variations} if arguments.variations else {})
    )
    config.env_runners(
        num_env_runners=arguments.num_workers,
        num_envs_per_env_runner=arguments.environments,
        num_cpus_per_env_runner=1,
    )
    config.training(
        train_batch_size_per_learner=steps,
        minibatch_size=arguments.batch,
        num_epochs=arguments.epochs,
        clip_param=arguments.clip,
        entropy_coeff=arguments.entropy,
        gamma=arguments.discount,
        doubt=arguments.doubt,
        average_weights=arguments.average,
        kl_weight=arguments.kl_weight,
        imitation_weight=arguments.imitation_weight,
        trajectories=absolute(arguments.trajectories) if arguments.trajectories else None,
    )
    shown = {
        "rollouts/score": "score {:.1f}",
        "rollouts/success": "success {:.1%}",
        "rollouts/episode_len_mean": "steps {:.1f}",
        "learners/entropy": "entropy {:.2f}",
        "learners/kept_share": "in doubt {:.0%}",
    }
    run(config, arguments, shown)
    say(f"policy: {place_of(arguments.out / 'policy')}")


if __name__ == "__main__":
    run_job(main, Arguments, f"{__doc__}\n{goes_on_with(INCIDENTAL)}")

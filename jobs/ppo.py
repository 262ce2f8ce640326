"""Fine-tune a policy with PPO: rollout workers, each with a shop and a shard of the training goals, feed one learner.

python jobs/ppo.py --shop shops/demo --policy runs/demo/seed-0/imitation/policy --out runs/demo/ppo
"""

from __future__ import annotations

from dataclasses import dataclass

from algorithms.arguments import GOES_ON, TrainingArguments
from policies.policy_folder import read_config
from rl_recsys.command import run_job
from rl_recsys.errors import UserError
from rl_recsys.outputs import writes_to_its_out
from rl_recsys.storage import Place, absolute, place_of
from rl_recsys.terminal import say


@dataclass(kw_only=True)
class Arguments(TrainingArguments):
    """PPO."""

    policy: Place
    """Policy folder to start from."""
    head_rate: float = 10.0
    """The head's learning rate as a multiple of --learning-rate (1 to 100)."""
    batch: int = 32
    """Decisions a gradient step; small batches want a lower --learning-rate (at 4, 1e-5 was too much and 3e-6 not)."""
    rollout_steps: int = 512
    """Environment steps sampled an iteration, by all workers together."""
    updates: int | None = None
    """Gradient steps after which the run ends, in the middle of an iteration if need be; by default only --iterations
    ends it."""
    environments: int = 8
    """Shop sessions a worker plays at once; their decisions are scored together."""
    epochs: int = 2
    """Passes over the sampled decisions that are learnt from."""
    clip: float = 0.2
    """PPO's clip: how far from 1 the probability ratio may count."""
    entropy: float = 0.0
    """Weight of the entropy bonus; an imitation policy starts with more entropy than it needs."""
    kl_weight: float = 0.0
    """Weight of the divergence from the policy that the run starts from; it keeps the policy near it."""
    imitation_weight: float = 0.0
    """Weight of the imitation loss on --trajectories."""
    trajectories: Place | None = None
    """Folder of demonstrations for the imitation term."""
    variations: float = 0.0
    """Share of the episodes whose goal is made up of a product's attributes and options, in [0, 1]; never of a product
    that only held-out goals are about."""
    discount: float = 0.98
    """Discount factor gamma, in [0, 1]. It pays for haste: at 0.9 success in 59 % of the episodes is worth as much as
    five steps later in all, at 0.98 success in 90 % (docs/learning.md compares the two)."""
    doubt: float = 0.01
    """Pages where the policy left less probability to all but one action are not learnt from, in [0, 1); 0 keeps all,
    as --kl-weight and --entropy do."""
    average: bool = True
    """Write the average of the iterations' weights, the later ones counting more, instead of the last ones."""


@writes_to_its_out("ppo")
def main(arguments: Arguments) -> None:
    """Train and say where the policy is."""
    from algorithms.ppo import PPOConfig
    from algorithms.training_job import configure, run
    from envs import register_with_ray

    if not 0 <= arguments.variations <= 1:
        raise UserError(f"--variations {arguments.variations}: a share of the episodes is in [0, 1]")
    register_with_ray()
    steps = max(1, arguments.rollout_steps // max(1, arguments.num_learners))  # RLlib samples so many for each learner
    policy = absolute(arguments.policy)
    config = configure(
        PPOConfig(), arguments, arguments.policy, ticks=arguments.iterations * steps * arguments.num_learners,
        updates=arguments.updates,
    )  # fmt: skip
    config.environment(
        env_config={
            "shop": absolute(arguments.shop),
            "tokenizer": policy,
            "goals": "train",
            "encoding": read_config(policy).shape,
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
    run_job(main, Arguments, f"{__doc__}\n{GOES_ON}")

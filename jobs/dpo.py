"""Fine-tune a policy with DPO: on recorded trajectories, on episodes that it plays meanwhile, or on both.

    python jobs/dpo.py --shop shops/demo --policy runs/demo/seed-0/imitation/policy \\
        --trajectories runs/demo/demonstrations --out runs/demo/dpo
    python jobs/dpo.py --shop shops/demo --policy runs/demo/seed-0/imitation/policy --preferences rollouts \\
        --out runs/demo/dpo-rollouts
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from algorithms.common.ranges import (
    BETA,
    GROUP_SIZE,
    HEAD_RATE,
    IMITATION_WEIGHT,
    LABEL_SMOOTHING,
    LEARNING_RATE,
    MAXIMUM_TRAJECTORIES,
    MINIMUM_REWARD,
    PAIR_USES,
    REFRESH_REFERENCE_EVERY,
    UPDATES,
    Pairing,
    Preferences,
    Ties,
)
from algorithms.runs.training_flags import INCIDENTAL, TrainingArguments
from rl_recsys.console.command import run_job
from rl_recsys.console.ranges import COUNT
from rl_recsys.console.terminal import say
from rl_recsys.errors import UserError
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.settings import goes_on_with
from rl_recsys.storage.locations import Place, absolute, place_of


@dataclass(kw_only=True)
class Arguments(TrainingArguments):
    """DPO."""

    policy: Place
    """Policy folder to start from; it is also the frozen reference."""
    learning_rate: Annotated[float, LEARNING_RATE] = 1e-5
    """Adam's rate for the encoder."""
    head_rate: Annotated[float, HEAD_RATE] = 10.0
    """The head's learning rate as a multiple of --learning-rate, 1 to 100 as a rule."""
    iterations: Annotated[int, COUNT] = 8
    """Iterations in all; an iteration is one line of result.json."""
    trajectories: Place | None = None
    """Folder of the recorded trajectories; not needed for --preferences rollouts."""
    preferences: Preferences = "recorded"
    """recorded: the recorded action against another that the policy draws at first (the paper). rollouts: of several
    episodes that the policy plays for one goal, the better against the worse. mixed: a batch of each in turn."""
    pairing: Pairing = "decision"
    """decision: compare actions of one page. trajectory: compare all that two episodes of a goal did. branch, for
    rollouts: compare the policy's greedy episode of a goal with what becomes of it when one action is another."""
    ties: Ties = "skip"
    """skip: where the policy draws the recorded action there is no pair this time. resample: it draws again."""
    group_size: Annotated[int, GROUP_SIZE] = 8
    """Episodes of each goal that are compared, for rollouts; with --pairing branch at most so many."""
    pair_uses: Annotated[int, PAIR_USES] = 1
    """Updates that each pair from rollouts is used for; more keep the learner busy while the workers play."""
    refresh_reference_every: Annotated[int, REFRESH_REFERENCE_EVERY] = 0
    """Iterations after which the current policy becomes the reference; 0 keeps the first."""
    minimum_reward: Annotated[float, MINIMUM_REWARD] = 1.0
    """Use only episodes with at least this reward."""
    maximum_trajectories: Annotated[int | None, MAXIMUM_TRAJECTORIES] = None
    """Use only this many episodes, the first recorded."""
    updates: Annotated[int, UPDATES] = 10
    """Gradient steps an iteration."""
    beta: Annotated[float, BETA] = 1.0
    """Strength of the pull to the reference, 0.3 to 3; smaller lets the policy go further."""
    label_smoothing: Annotated[float, LABEL_SMOOTHING] = 0.0
    """Share of preferences taken to be wrong."""
    imitation_weight: Annotated[float, IMITATION_WEIGHT] = 0.0
    """Weight of the imitation loss of the preferred actions; with 0 only the two actions of a pair are encoded."""

    def validate(self) -> None:
        """Recorded preferences have recorded episodes."""
        super().validate()
        if self.preferences != "rollouts" and self.trajectories is None:
            raise UserError(
                f"--preferences {self.preferences} needs recorded episodes: name their folder with --trajectories"
            )


@writes_to_its_out("dpo")
def main(arguments: Arguments) -> None:
    """Train and say where the policy is."""
    from algorithms.dpo import DPOConfig
    from algorithms.runs.training_job import configure, run

    config = configure(
        DPOConfig(), arguments, arguments.policy, ticks=arguments.iterations * arguments.updates
    ).training(
        trajectories=absolute(arguments.trajectories) if arguments.trajectories else None,
        preferences=arguments.preferences,
        pairing=arguments.pairing,
        ties=arguments.ties,
        task=arguments.open_task().spec,
        group_size=arguments.group_size,
        pair_uses=arguments.pair_uses,
        rollout_workers=arguments.num_workers,
        refresh_reference_every=arguments.refresh_reference_every,
        minimum_reward=arguments.minimum_reward,
        maximum_trajectories=arguments.maximum_trajectories,
        updates_per_iteration=arguments.updates,
        train_batch_size_per_learner=arguments.batch,
        beta=arguments.beta,
        label_smoothing=arguments.label_smoothing,
        imitation_weight=arguments.imitation_weight,
    )
    shown = {
        "learners/dpo_loss": "loss {:.3f}",
        "learners/preferred_leads": "preferred leads {:.1%}",
        "learners/reward_margin": "margin {:.2f}",
    }
    run(config, arguments, shown)
    say(f"policy: {place_of(arguments.out / 'policy')}")


if __name__ == "__main__":
    run_job(main, Arguments, f"{__doc__}\n{goes_on_with(INCIDENTAL)}")

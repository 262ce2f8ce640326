"""Fine-tune a policy with PPO: rollout workers, each with a world and a shard of the training goals, feed one learner.

python jobs/ppo.py --shop shops/demo --policy runs/demo/seed-0/imitation/policy --out runs/demo/ppo
"""

from __future__ import annotations

from dataclasses import dataclass

from algorithms.ppo.settings import PPOSettings
from algorithms.runs.training_flags import RECORDED_INCIDENTAL as INCIDENTAL
from algorithms.runs.training_flags import RecordedTrainingArguments
from rl_recsys.console.command import run_job
from rl_recsys.console.terminal import say
from rl_recsys.errors import UserError
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.settings import goes_on_with
from rl_recsys.storage.locations import Place, absolute, place_of


@dataclass(kw_only=True)
class Arguments(PPOSettings, RecordedTrainingArguments):
    """PPO."""

    policy: Place
    """Policy folder to start from."""
    trajectories: Place | None = None
    """Folder of demonstrations for the imitation term."""

    def validate(self) -> None:
        """What a worker samples must be enough for a gradient step."""
        super().validate()
        steps = self.steps_of_learner(self.num_learners)
        if self.batch > steps:
            share = f" of each of {self.num_learners} learners" if self.num_learners > 1 else ""
            raise UserError(f"--batch is {self.batch}, it must be at most --rollout-steps, {steps}{share}")
        if self.imitation_weight and not self.trajectories:
            raise UserError("--imitation-weight needs demonstrations: name their folder with --trajectories")


@writes_to_its_out("ppo")
def main(arguments: Arguments) -> None:
    """Train and say where the policy is."""
    from algorithms.ppo import PPOConfig
    from algorithms.runs.training_job import configure, run
    from envs import register_with_ray

    register_with_ray()
    config = configure(PPOConfig(), arguments, arguments.policy)
    config.environment(
        env_config={"task": arguments.open_task().spec, "policy": absolute(arguments.policy), "goals": "train"}
    )
    config.env_runners(num_env_runners=arguments.num_workers)
    shown = {
        "rollouts/score": "score {:.1f}",
        "rollouts/success": "success {:.1%}",
        "rollouts/steps": "steps {:.1f}",
        "learners/entropy": "entropy {:.2f}",
        "learners/kept_share": "in doubt {:.0%}",
    }
    run(config, arguments, shown)
    say(f"policy: {place_of(arguments.out / 'policy')}")


if __name__ == "__main__":
    run_job(main, Arguments, f"{__doc__}\n{goes_on_with(INCIDENTAL)}")

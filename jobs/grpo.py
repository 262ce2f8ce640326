"""Fine-tune a policy with GRPO or GiGPO: it plays each goal several times and learns from what the episodes earned.

    python jobs/grpo.py --shop shops/demo --policy runs/demo/seed-0/imitation/policy --out runs/demo/grpo
    python jobs/grpo.py --algorithm gigpo --shop shops/demo --policy runs/demo/seed-0/imitation/policy \\
        --out runs/demo/gigpo
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from algorithms.grpo.settings import GiGPOSettings
from algorithms.runs.training_flags import INCIDENTAL, TrainingArguments
from rl_recsys.console.command import run_job
from rl_recsys.console.terminal import say
from rl_recsys.errors import UserError
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.settings import goes_on_with
from rl_recsys.storage.locations import Place, place_of


@dataclass(kw_only=True)
class Arguments(GiGPOSettings, TrainingArguments):
    """GRPO and GiGPO."""

    policy: Place
    """Policy folder to start from; it is also the frozen reference of --kl-weight."""
    algorithm: Literal["grpo", "gigpo"] = "grpo"
    """What a step is compared by. grpo: what its episode earned, beside others of the goal. gigpo: also what it earned
    from there on, beside other steps that left the same page."""

    def validate(self) -> None:
        """GRPO has no setting of GiGPO."""
        super().validate()
        for name in ("step_weight", "discount") if self.algorithm == "grpo" else ():
            if getattr(self, name) != getattr(GiGPOSettings, name):
                raise UserError(f"--{name.replace('_', '-')} is a setting of --algorithm gigpo: leave it out")


@writes_to_its_out("grpo")
def main(arguments: Arguments) -> None:
    """Train and say where the policy is."""
    from algorithms.grpo import GiGPOConfig, GRPOConfig
    from algorithms.runs.training_job import configure, run

    kind = {"grpo": GRPOConfig, "gigpo": GiGPOConfig}[arguments.algorithm]
    config = configure(kind(), arguments, arguments.policy)
    config.training(task=arguments.open_task().spec, rollout_workers=arguments.num_workers)
    shown = {
        "rollouts/score": "score {:.1f}",
        "rollouts/success": "success {:.1%}",
        "rollouts/steps": "steps {:.1f}",
        "learners/unequal_share": "groups that differ {:.0%}",
        "learners/kept_share": "in doubt {:.0%}",
    }
    run(config, arguments, shown)
    say(f"policy: {place_of(arguments.out / 'policy')}")


if __name__ == "__main__":
    run_job(main, Arguments, f"{__doc__}\n{goes_on_with(INCIDENTAL)}")

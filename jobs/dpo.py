"""Fine-tune a policy with DPO: on recorded trajectories, on episodes that it plays meanwhile, or on both.

    python jobs/dpo.py --shop shops/demo --policy runs/demo/seed-0/imitation/policy \\
        --trajectories runs/demo/demonstrations --out runs/demo/dpo
    python jobs/dpo.py --shop shops/demo --policy runs/demo/seed-0/imitation/policy --preferences rollouts \\
        --out runs/demo/dpo-rollouts
"""

from __future__ import annotations

from dataclasses import dataclass

from algorithms.dpo.settings import DPOSettings
from algorithms.runs.training_flags import RECORDED_INCIDENTAL as INCIDENTAL
from algorithms.runs.training_flags import RecordedTrainingArguments
from rl_recsys.console.command import run_job
from rl_recsys.console.terminal import say
from rl_recsys.core.registry import LOSSES, require_registered
from rl_recsys.errors import UserError
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.settings import goes_on_with
from rl_recsys.storage.locations import Place, place_of


@dataclass(kw_only=True)
class Arguments(DPOSettings, RecordedTrainingArguments):
    """DPO."""

    policy: Place
    """Policy folder to start from; it is also the frozen reference."""
    trajectories: Place | None = None
    """Folder of the recorded trajectories; not needed for --preferences rollouts."""

    def validate(self) -> None:
        """The loss is known, and recorded preferences have recorded episodes."""
        super().validate()
        require_registered(LOSSES, self.loss)
        if self.preferences != "rollouts" and self.trajectories is None:
            raise UserError(
                f"--preferences {self.preferences} needs recorded episodes: name their folder with --trajectories"
            )


@writes_to_its_out("dpo")
def main(arguments: Arguments) -> None:
    """Train and say where the policy is."""
    from algorithms.dpo import DPOConfig
    from algorithms.runs.training_job import configure, run

    config = configure(DPOConfig(), arguments, arguments.policy)
    config.training(task=arguments.open_task().spec, rollout_workers=arguments.num_workers)
    shown = {
        f"learners/{arguments.loss}_loss": "loss {:.3f}",
        "learners/preferred_leads": "preferred leads {:.1%}",
        "learners/reward_margin": "margin {:.2f}",
    }
    run(config, arguments, shown)
    say(f"policy: {place_of(arguments.out / 'policy')}")


if __name__ == "__main__":
    run_job(main, Arguments, f"{__doc__}\n{goes_on_with(INCIDENTAL)}")

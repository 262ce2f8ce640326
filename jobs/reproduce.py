"""Repeat the study of Feng & Feng (2024), and more than it could show: one command, one report.

    python jobs/reproduce.py --out runs/demo                                   # the demo shop, 12 to 30 minutes
    python jobs/reproduce.py --preset laptop --shop shops/webshop-1k --out runs/laptop
    python jobs/reproduce.py --task NAME:PLACE --policy-type TYPE --loss LOSS --out runs/mine    # docs/extend.md

Arms: the first baseline; imitation of demonstrations; from that policy PPO, DPO on the same demonstrations, and DPO on
trajectories that it generates itself; from the DPO policy, DPO on what that generates, and, to compare it with, DPO on
the demonstrations once more. All get as many updates, are measured on the same goals, and meet in Thompson sampling.
Every stage is one of the other jobs. Started again, it goes on where it stopped; OUT/report.html is the result.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from algorithms.common.ranges import FROZEN_LAYERS, HEAD_RATE, LEARNING_RATE
from algorithms.dpo.settings import DPOSettings
from algorithms.experiments.study import MADE_SHOPS, PRESETS, Also, Plan, Preset
from policies.bert.encoder_folder import BUNDLED
from rl_recsys.console.command import run_job
from rl_recsys.console.ranges import COUNT, SEED, WEIGHT
from rl_recsys.console.terminal import say
from rl_recsys.core.policy_folder import DEFAULT_TYPE
from rl_recsys.core.registry import LOSSES, POLICIES, require_registered
from rl_recsys.core.task import Task
from rl_recsys.core.task_flags import TaskFlags
from rl_recsys.errors import UserError
from rl_recsys.evaluation.claims import STUDY
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.pipeline import run_stages
from rl_recsys.runs.settings import goes_on_with
from rl_recsys.storage.files import write_json
from rl_recsys.storage.locations import Place, expanded, is_uri

#: Flags that may differ where finished stages are not run again; other --seeds are trained besides.
INCIDENTAL = ("out", "seeds", "at_once", "num_workers", "num_gpus")


@dataclass(kw_only=True)
class Arguments(TaskFlags):
    """Run a study."""

    out: Place
    """Folder for everything: runs, trajectories, logs, and the report. On a disk: a study's stages share it."""
    preset: Literal["smoke", "demo", "market", "laptop", "paper"] = "demo"
    """The size of the study on two cores: smoke (a minute), demo (12 to 30 minutes, demo shop), market (4.5 hours, to
    tell 2 points), laptop (2 to 3 hours, the real 1,000 products); paper (a T4 and the full catalogue)."""
    shop: Place | None = None
    """Shop folder; by default the preset's, without --task. shops/demo and shops/market are made if missing."""
    seeds: Annotated[tuple[int, ...] | None, SEED] = None
    """One training of each arm a seed; by default the preset's."""
    recorded: Place | None = None
    """Trajectories to imitate, e.g. imported human ones; by default scripted ones are recorded."""
    policy_type: str = DEFAULT_TYPE
    """What imitation begins with: bert_choice, or a type that another package offers (docs/extend.md)."""
    policy_settings: tuple[str, ...] = ()
    """Its settings as NAME=VALUE."""
    encoder: str = BUNDLED
    """Pretrained BERT: "minilm" (bundled), a local folder, or a hub name."""
    loss: str = DPOSettings.loss
    """Preference loss of every DPO run: dpo, ipo, kto, simpo, or one of another package (docs/extend.md)."""
    also: tuple[Also, ...] = ()
    """Arms beside the paper's, from the imitation policy as PPO: grpo, gigpo."""
    learning_rate: Annotated[float | None, LEARNING_RATE] = None
    """Learning rate of every training; by default each job's own, and PPO's the preset's."""
    head_rate: Annotated[float | None, HEAD_RATE] = None
    """Learning rate of the head in every training, as a multiple of --learning-rate; by default each job's own."""
    frozen_layers: Annotated[int | None, FROZEN_LAYERS] = None
    """Lowest layers of the encoder that no training changes; by default the preset's. 0 for a policy without layers."""
    at_once: Annotated[int | None, COUNT] = None
    """Stages that run side by side and share the cores; by default 2, or 1 where learners have a GPU."""
    num_workers: Annotated[int, COUNT] = 2
    """Rollout processes of every stage that plays."""
    num_gpus: Annotated[float | None, WEIGHT] = None
    """GPUs of each learner, and of the rollout processes together; by default the preset's."""

    def validate(self) -> None:
        """Every arm is trained with a seed at least, by what there is; without a world the preset's shop is meant."""
        if self.shop is None and self.task is None:
            self.shop = PRESETS[self.preset].shop
        super().validate()
        if self.seeds == ():
            raise UserError("--seeds: name one at least")
        require_registered(POLICIES, self.policy_type)
        require_registered(LOSSES, self.loss)


def main(arguments: Arguments) -> None:
    """Run what is not done yet, and say where the report is."""
    for name in ("out", "shop", "recorded"):
        place = getattr(arguments, name)
        if place is not None and is_uri(place):
            raise UserError(f"--{name} {place}: a study needs a folder on a disk that all its nodes see, not a bucket")
        setattr(arguments, name, place if place is None else Path(expanded(place)))
    preset = PRESETS[arguments.preset]
    changed = {name: getattr(arguments, name) for name in ("shop", "seeds", "num_gpus", "frozen_layers")}
    changed["ppo_rate"] = arguments.learning_rate
    preset = replace(preset, **{name: value for name, value in changed.items() if value is not None})
    at_once = arguments.at_once if arguments.at_once is not None else 1 if preset.num_gpus else 2
    to_be_made = arguments.task is None and not (preset.shop / "manifest.json").is_file()
    if to_be_made and preset.shop not in MADE_SHOPS:
        raise UserError(f"{preset.shop} is no shop; jobs/prepare.py makes one. This preset needs {preset.needs}")
    _run(arguments, preset, at_once, None if to_be_made else arguments.open_task())


@writes_to_its_out("reproduce")
def _run(arguments: Arguments, preset: Preset, at_once: int, task: Task | None) -> None:
    plan = Plan(arguments, preset, arguments.out, Path(__file__).parent, task)
    described = plan.description() | {"at_once": at_once}
    write_json(arguments.out / STUDY, json.loads(json.dumps(described, default=str)))
    run_stages(list(plan.stages()), arguments.out, at_once=at_once)
    say(f"report: {arguments.out / 'report.html'}, {arguments.out / 'report.md'}")


if __name__ == "__main__":
    run_job(main, Arguments, f"{__doc__}\n{goes_on_with(INCIDENTAL)}")

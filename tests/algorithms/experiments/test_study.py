"""The stages of a study: of a shop those that earlier versions ran, of another task its own."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from algorithms.experiments.study import PRESETS, Plan
from rl_recsys.core.task import open_task


@dataclass(kw_only=True)
class Choices:
    """What jobs/reproduce.py is told when it is told nothing."""

    preset: str = "smoke"
    task: str | None = None
    recorded: Path | None = None
    policy_type: str = "bert_choice"
    policy_settings: tuple[str, ...] = ()
    encoder: str = "minilm"
    loss: str = "dpo"
    learning_rate: float | None = None
    head_rate: float | None = None
    num_workers: int = 2
    also: tuple[str, ...] = ()


def commands(plan: Plan) -> dict[str, list[str]]:
    """Each stage's command, without the script's folder."""
    return {stage.name: [Path(stage.command[0]).name, *stage.command[1:]] for stage in plan.stages()}


#: Of what version 46738d9 ran. Another digest means that a study which was begun before runs its stages again.
DIGESTS = {
    "smoke": "576650f034664e04",
    "demo": "5c0bdc06aed60b47",
    "market": "3176cf7eac0ac137",
    "laptop": "1a9f28e54d738ae0",
    "paper": "f31a91fe2dfd2c3e",
}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_shops_study_has_the_stages_that_it_was_begun_with(preset):
    plan = Plan(Choices(preset=preset), PRESETS[preset], Path("out"), Path("jobs"), None)
    written = json.dumps(commands(plan)).encode()
    assert hashlib.sha256(written).hexdigest()[:16] == DIGESTS[preset]


def test_a_study_makes_the_shop_that_its_preset_plays():
    for preset, flags in {"demo": ["--out", "shops/demo"], "market": ["--out", "shops/market", "--market"]}.items():
        plan = Plan(Choices(preset=preset), PRESETS[preset], Path("out"), Path("jobs"), None)
        assert commands(plan)["prepare"] == ["prepare.py", *flags]
        evaluation = commands(plan)["evaluation"]
        assert ("--modes" in evaluation) == (preset == "market") and evaluation[-2:] != ["--modes", "sampled"]


def test_a_study_of_another_task_gives_every_stage_what_it_takes():
    choices = Choices(
        task="menu:60", policy_type="linear", policy_settings=("choices=12",), loss="toy-ipo", learning_rate=0.05,
        head_rate=1.0,
    )  # fmt: skip
    preset = replace(PRESETS["smoke"], ppo_rate=0.05)
    plan = Plan(choices, preset, Path("out"), Path("jobs"), open_task("menu:60"))
    stages = {name: " ".join(command) for name, command in commands(plan).items()}
    assert stages["demonstrations"].endswith("--trajectories 30")  # of 38: there are no more training goals
    assert "--policy-type linear --policy-settings choices=12 --batch" in stages["imitation-0"]
    assert "--policies first-dish imitation=" in stages["thompson"]
    for name, command in stages.items():
        trains = command.split()[0] in ("imitate.py", "ppo.py", "dpo.py")
        assert (command.count("--learning-rate 0.05"), command.count("--head-rate 1.0")) == (trains, trains), name
        assert ("--loss toy-ipo" in command) == command.startswith("dpo.py")
        assert "--label-smoothing" not in command, "the loss has none"
        assert ("--task menu:60" in command) == (name != "report") and "--shop" not in command, name
        assert "--encoder" not in command
    settings = plan.description()["settings"]
    assert settings["task"] == "menu:60" and not {"shop", "encoder"} & settings.keys()


def test_arms_beside_the_papers_are_trained_and_measured_like_ppo():
    without, plan = (
        Plan(Choices(also=also), PRESETS["laptop"], Path("out"), Path("jobs"), None) for also in ((), ("gigpo", "grpo"))
    )
    before, stages = commands(without), commands(plan)
    trained = {f"{arm}-{seed}" for arm in ("grpo", "gigpo") for seed in PRESETS["laptop"].seeds}
    changed = {name for name, command in stages.items() if command != before.get(name)}
    assert changed == trained | {"evaluation", "thompson"} and stages.keys() - before.keys() == trained
    ppo, grpo = (" ".join(stages[name]) for name in ("ppo-1", "grpo-1"))
    assert "grpo.py" in grpo and "--algorithm gigpo" in " ".join(stages["gigpo-1"])
    for flags in ("--updates 3000", "--batch 4", "--learning-rate", "--epochs 2", "--seed 1", "--snapshot-minutes 2"):
        assert flags in ppo and flags in grpo
    chosen = commands(
        Plan(Choices(also=("grpo",), learning_rate=2e-5), PRESETS["demo"], Path("out"), Path("jobs"), None)
    )
    assert "--learning-rate 3e-06" in grpo and "--learning-rate 2e-05" in " ".join(chosen["grpo-0"])
    evaluated = " ".join(stages["evaluation"])
    for arm in ("grpo", "gigpo"):
        assert f" {arm}=out/seed-2/{arm}/policy" in evaluated and f" {arm}-minutes-5=out/seed-2/{arm}/" in evaluated
    assert "thompson-seeds-0-1-2-gigpo-grpo" in " ".join(stages["thompson"])
    assert plan.description()["arms"].keys() == without.description()["arms"].keys() | {"grpo", "gigpo"}

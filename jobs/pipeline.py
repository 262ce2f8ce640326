"""The whole way: a shop, demonstrations, imitation, PPO and DPO from the same checkpoint, one table of all arms.

    python jobs/pipeline.py --out runs/demo
    python jobs/pipeline.py --shop shops/webshop-1k --seeds 0 1 2 --out runs/webshop-1k

Every stage is one of the other jobs, and its command is printed. Started again, it goes on where it stopped.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from rl_recsys.errors import UserError, plain_errors
from rl_recsys.evaluation.figures import learning_curves
from rl_recsys.progress import format_seconds

JOBS = Path(__file__).parent
ALGORITHMS = ("imitation", "ppo", "dpo")
DEMO_SHOP = Path("shops/demo")


@dataclass(kw_only=True)
class Arguments:
    """Run all stages; the defaults are for the demo shop on two cores."""

    shop: Path = DEMO_SHOP
    """Shop folder; the demo shop is made there if there is none."""
    out: Path
    """Folder for everything: trajectories, runs, table.md, results.json, learning_curves.png."""
    seeds: tuple[int, ...] = (0,)
    """One training of each algorithm a seed."""
    trajectories: int = 600
    """Demonstrations to record, of as many training goals."""
    imitation_iterations: int = 20
    """Iterations of imitation, 10 gradient steps each."""
    ppo_iterations: int = 3
    """Iterations of PPO, --ppo-steps environment steps each."""
    ppo_steps: int = 512
    """Environment steps PPO samples an iteration."""
    dpo_iterations: int = 6
    """Iterations of DPO, 10 gradient steps each."""
    frozen_layers: int = 3
    """Layers of the encoder that are not trained."""
    encoder: str = "minilm"
    """Pretrained BERT: "minilm" (bundled), a local folder, or a hub name."""
    goals: int = 200
    """Test goals each arm plays."""
    modes: tuple[Literal["greedy", "sampled"], ...] = ("greedy", "sampled")
    """How policies play them: greedy takes the best action, sampled draws from the policy."""
    evaluate_every: int = 4
    """Iterations between the points of the learning curve."""
    evaluation_goals: int = 50
    """Training goals a point of the learning curve is made of."""
    num_workers: int = 2
    """Rollout processes."""
    num_gpus: float = 0
    """GPUs of the learner."""


def main(arguments: Arguments) -> None:
    """Run the stages that are not done, then print where the results are."""
    start = time.monotonic()
    stages = list(_stages(arguments))
    for number, (name, command) in enumerate(stages, 1):
        shown = " ".join(str(part) for part in command)
        print(f"\n[{number}/{len(stages)}] {name}, after {format_seconds(time.monotonic() - start)}\n  python {shown}")
        sys.stdout.flush()
        done = subprocess.run([sys.executable, *map(str, command)], check=False)
        if done.returncode:
            raise UserError(f"stage {name} failed (exit status {done.returncode}); its message is above")
    _draw(arguments)
    out, took = arguments.out, format_seconds(time.monotonic() - start)
    print(f"\n{took}. Table: {out / 'table.md'}, {out / 'results.json'}; curves: {out / 'learning_curves.png'}")


def _stages(arguments: Arguments):
    out, shop = arguments.out, ["--shop", arguments.shop]
    demonstrations = out / "demonstrations"
    if arguments.shop == DEMO_SHOP and not (arguments.shop / "manifest.json").is_file():
        yield "prepare the demo shop", [JOBS / "prepare.py", "--out", arguments.shop]
    yield (
        "demonstrate",
        [JOBS / "demonstrate.py", *shop, "--out", demonstrations, "--trajectories", arguments.trajectories],
    )
    common = [*shop, "--num-workers", arguments.num_workers, "--num-gpus", arguments.num_gpus,
              "--frozen-layers", arguments.frozen_layers, "--evaluate-every", arguments.evaluate_every,
              "--evaluation-goals", arguments.evaluation_goals]  # fmt: skip
    policies = []
    for seed in arguments.seeds:
        folder = out / f"seed-{seed}"
        start = ["--policy", folder / "imitation" / "policy"]
        recorded = ["--trajectories", demonstrations]
        seeded = [*common, "--seed", seed]
        yield f"imitation, seed {seed}", [
            JOBS / "imitate.py", *seeded, *recorded, "--encoder", arguments.encoder, "--out", folder / "imitation",
            "--iterations", arguments.imitation_iterations,
        ]  # fmt: skip
        yield f"PPO, seed {seed}", [
            JOBS / "ppo.py", *seeded, *start, "--out", folder / "ppo", "--iterations", arguments.ppo_iterations,
            "--rollout-steps", arguments.ppo_steps,
        ]  # fmt: skip
        yield f"DPO, seed {seed}", [
            JOBS / "dpo.py", *seeded, *start, *recorded, "--out", folder / "dpo",
            "--iterations", arguments.dpo_iterations,
        ]  # fmt: skip
        policies += [f"{name}={folder / name / 'policy'}" for name in ALGORITHMS]
    yield "evaluate", [
        JOBS / "evaluate.py", *shop, "--out", out, "--goals", arguments.goals,
        "--num-workers", arguments.num_workers, "--modes", *arguments.modes,
        "--policies", *sorted(policies, key=_arm_order),
    ]  # fmt: skip


def _arm_order(policy: str) -> int:
    return ALGORITHMS.index(policy.partition("=")[0])


def _draw(arguments: Arguments) -> None:
    """Success on the same training goals against training minutes, of every seed."""
    curves = {name: [_points(arguments.out / f"seed-{seed}" / name) for seed in arguments.seeds] for name in ALGORITHMS}
    arms = json.loads((arguments.out / "results.json").read_text())["arms"]
    rule = {"rule (test goals)": arms[0]["success"]}
    path = arguments.out / "learning_curves.png"
    learning_curves(
        curves, rule, path, f"Greedy success on {arguments.evaluation_goals} training goals, {arguments.shop.name}"
    )


def _points(run: Path) -> list[tuple[float, float]]:
    before = json.loads((run / "policy" / "training.json").read_text())
    offset = (before["total_training_seconds"] - before["training_seconds"]) / 60
    rows = map(json.loads, (run / "progress.jsonl").read_text().splitlines())
    return [(offset + row["minutes"], row["evaluation/success"]) for row in rows if "evaluation/success" in row]


if __name__ == "__main__":
    with plain_errors():
        main(tyro.cli(Arguments, description=__doc__))

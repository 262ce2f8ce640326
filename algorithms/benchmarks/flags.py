"""The flags of benchmarks of a policy, a learner, a cluster and a training run. Needs neither torch nor Ray."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from algorithms.common.ranges import GROUP_SIZE, ROLLOUT_STEPS, SCALE_PARTS, ScalePart
from rl_recsys.console.command import Flags
from rl_recsys.console.ranges import COUNT, RATE, Range
from rl_recsys.errors import UserError
from rl_recsys.storage.locations import Place


@dataclass(kw_only=True)
class PolicyBenchmarkFlags(Flags):
    """Steps a second of a policy, beside encoding every action at every step; about 10 minutes with 200 goals."""

    policy: Path
    """Policy folder."""
    shop: Path
    """Shop folder made by jobs/prepare.py."""
    out: Place | None = None
    """Folder for policy.json and policy.md; without it they are only printed."""
    goals: Annotated[int, COUNT] = 200
    """Training goals to play."""


@dataclass(kw_only=True)
class LearnerBenchmarkFlags(Flags):
    """DPO's pairs a second, beside encoding every action with the policy and the reference; about 2 minutes."""

    policy: Path
    """Policy folder to update, and to have as the reference."""
    trajectories: Path
    """Folder of trajectories to make the pairs of."""
    out: Place | None = None
    """Folder for learner.json and learner.md; without it they are only printed."""


@dataclass(kw_only=True)
class ScaleBenchmarkFlags(Flags):
    """Throughput against rollout workers, real and simulated ones, and the driver's limit; about 20 minutes."""

    policy: Path
    """Policy folder that plays."""
    shop: Path
    """Shop folder made by jobs/prepare.py."""
    out: Place | None = None
    """Folder for scale.json, .md and .png; without it the figures are only printed."""
    parts: tuple[ScalePart, ...] = SCALE_PARTS
    """What to measure. groups: real workers that play groups, as for DPO; ppo: real ones that sample for PPO;
    simulated: actors that sleep as long as a real worker plays, and return what it played."""
    group_size: Annotated[int, GROUP_SIZE] = 8
    """Episodes of a group, all of one goal."""
    groups: Annotated[int, COUNT] = 12
    """Groups of a measurement with real workers; the simulated ones return these."""
    rounds: Annotated[int, COUNT] = 3
    """Measurements with one real worker and with two, in turn."""
    rollout_steps: Annotated[int, ROLLOUT_STEPS] = 512
    """Environment steps of a PPO measurement, by all workers together."""
    actors: Annotated[tuple[int, ...], COUNT] = (1, 2, 4, 8, 16, 32, 64)
    """Numbers of simulated actors."""
    group_seconds: Annotated[float | None, RATE] = None
    """Seconds that a simulated actor takes for a group on average; by default as long as a real worker took."""


@dataclass(kw_only=True)
class TrainingSoakFlags(Flags):
    """Memory, files and processes of a PPO run while it trains, and what is left once it was ended."""

    policy: Path
    """Policy folder to start from."""
    shop: Path
    """Shop folder made by jobs/prepare.py."""
    out: Place | None = None
    """Folder for training-soak.json, .md, .csv, .png and .log; without it the figures are only printed."""
    minutes: Annotated[float, RATE] = 120.0
    """Minutes to train, from the first iteration on."""
    num_workers: Annotated[int, COUNT] = 2
    """Rollout processes of the run."""
    num_learners: Annotated[int, COUNT] = 1
    """Learner processes of the run; a single one learns in the driver."""
    rollout_steps: Annotated[int, ROLLOUT_STEPS] = 256
    """Environment steps an iteration of the run."""
    every_seconds: Annotated[float, RATE] = 10.0
    """Seconds between two looks at its processes."""


ServePart = Literal["speed", "soak"]
SERVE_PARTS: tuple[ServePart, ...] = get_args(ServePart)


@dataclass(kw_only=True)
class ServeBenchmarkFlags(Flags):
    """CPU and memory of the shop as a served environment; about 2 minutes, and 10 to 20 for the soak."""

    shop: Path
    """Shop folder made by jobs/prepare.py."""
    out: Place | None = None
    """Folder for serve.json and serve.md; without it they are only printed."""
    parts: tuple[ServePart, ...] = SERVE_PARTS
    """What to measure. speed: a step beside the step in process and an echo; soak: memory over time."""
    sessions: Annotated[tuple[int, ...], COUNT] = (1, 16, 64, 256)
    """Sessions at a time."""
    seconds: Annotated[float, RATE] = 5.0
    """Seconds a measurement of speed."""
    openenv_python: Path | None = None
    """Python of a virtual environment that has openenv, of this Python's version: its own server is measured too."""
    soak_steps: Annotated[int, COUNT] = 1_000_000
    """Steps of the soak."""
    soak_sessions: Annotated[int, COUNT] = 20_000
    """Sessions of the soak, none of which its client closes."""


@dataclass(kw_only=True)
class RecommendBenchmarkFlags(Flags):
    """The recommender's service beside the same lists made in a loop and the search; about 15 minutes a shop."""

    policy: Path
    """Policy folder that plays."""
    shops: tuple[Path, ...]
    """Shop folders made by jobs/prepare.py, measured one after the other."""
    out: Place | None = None
    """Folder for recommend.json and recommend.md; without it they are only printed."""
    requests: Annotated[int, COUNT] = 64
    """Different requests of a measurement, as many again to begin with."""
    clients: Annotated[tuple[int, ...], COUNT] = (1, 8, 32)
    """Clients that ask at a time, each as soon as it is answered."""


@dataclass(kw_only=True)
class RecoGymBenchmarkFlags(Flags):
    """RecoGym's environments, one user after the other and many at once; about a minute, two beside the original."""

    original_python: Path | None = None
    """Python that has the original package recogym: it is measured too, in turn."""
    out: Place | None = None
    """Folder for recogym.json and recogym.md; without it they are only printed."""
    products: Annotated[int, COUNT] = 10
    """Products of the catalogue."""
    recommendations: Annotated[int, Range(least=100)] = 100_000
    """Recommendations of a measurement one user after the other; ten times as many at once, a twelfth by the
    original."""
    users: Annotated[int, COUNT] = 16_384
    """Users at once."""
    repeats: Annotated[int, COUNT] = 5
    """Measurements of each, of which the median counts."""


@dataclass(kw_only=True)
class VirtualTaobaoBenchmarkFlags(Flags):
    """Virtual-Taobao's environments, one customer after the other and many at once; about a minute."""

    weights: str = "stand-in:0"
    """Whose networks: a folder made by jobs/prepare_virtual_taobao.py, or stand-in:SEED. They decide how long customers
    stay."""
    original_python: Path | None = None
    """Python that has torch and gym: the original is measured too, in turn. Needs --checkout."""
    checkout: Path | None = None
    """Checkout of the original."""
    out: Place | None = None
    """Folder for virtual-taobao.json and virtual-taobao.md; without it they are only printed."""
    pages: Annotated[int, Range(least=100)] = 30_000
    """Pages of a measurement one customer after the other; twenty times as many at once, a quarter by the original."""
    customers: Annotated[int, COUNT] = 4096
    """Customers at once."""
    repeats: Annotated[int, COUNT] = 5
    """Measurements of each, of which the median counts."""

    def validate(self) -> None:
        """The original needs both."""
        super().validate()
        if (self.original_python is None) != (self.checkout is None):
            raise UserError("the original is measured with --original-python and --checkout: name both, or neither")


VersionPart = Literal["play", "ppo", "imitation", "dpo", "start", "help"]
VERSION_PARTS: tuple[VersionPart, ...] = get_args(VersionPart)


@dataclass(kw_only=True)
class VersionsBenchmarkFlags(Flags):
    """Play, training and starts of this checkout and of another one, in turn; about half an hour."""

    against: Path
    """Folder of the other checkout (git worktree add FOLDER COMMIT). Its jobs run with this Python."""
    policy: Path
    """Policy folder that plays and that training starts from."""
    shop: Path
    """Shop folder made by jobs/prepare.py."""
    trajectories: Path
    """Folder of trajectories to imitate and to make pairs of."""
    against_policy: Path | None = None
    """Policy folder for the other checkout, where it cannot read --policy."""
    against_trajectories: Path | None = None
    """Trajectories for the other checkout, where it cannot read --trajectories."""
    out: Place | None = None
    """Folder for versions.json and versions.md; without it they are only printed."""
    parts: tuple[VersionPart, ...] = VERSION_PARTS
    """What to measure."""
    goals: Annotated[int, Range(least=5)] = 100
    """Goals to play, the first of the test goals."""
    iterations: Annotated[int, COUNT] = 4
    """Iterations of a training that count; there is one before them."""
    repeats: Annotated[int, COUNT] = 3
    """Measurements of each part and checkout, of which the median counts."""

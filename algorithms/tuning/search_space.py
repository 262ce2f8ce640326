"""What a hyperparameter search is told, and the settings it tries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from algorithms.common.ranges import FROZEN_LAYERS, GPUS, ROLLOUT_STEPS, ROLLOUT_WORKERS, UPDATES
from rl_recsys.console.ranges import COUNT, SEED
from rl_recsys.core.task_flags import TaskFlags
from rl_recsys.errors import UserError
from rl_recsys.evaluation.plots import Axis
from rl_recsys.storage.locations import Place

if TYPE_CHECKING:  # the flags are checked before Ray is there
    from ray.tune.search.sample import Domain

Searched = Literal["dpo", "ppo"]

HEAD_RATE = 10.0  # the default of both jobs
BATCH = {"dpo": 16, "ppo": 32}  # their defaults too


@dataclass(frozen=True)
class Setting:
    """A setting that is searched: its flag in the algorithm's job, its name in the RLlib config, and its values.

    ``values`` are the ends of a range that is drawn from log-uniformly, or, with ``each``, all that there are.
    """

    flag: str
    name: str
    default: float
    values: tuple[float, ...]
    each: bool = False

    @property
    def domain(self) -> Domain:
        """What Tune draws from."""
        from ray import tune

        return tune.choice(list(self.values)) if self.each else tune.loguniform(*self.values)

    @property
    def axis(self) -> Axis:
        """Its place in the picture."""
        return Axis(self.values, "each" if self.each else "log")

    def __str__(self) -> str:
        values = [f"{value:g}" for value in self.values]
        return f"one of {', '.join(values)}" if self.each else f"{' to '.join(values)}, log-uniform"


#: The search space. The first trial has the defaults, so the table says what the search has gained.
SPACES: dict[Searched, tuple[Setting, ...]] = {
    "dpo": (
        Setting("learning-rate", "lr", 1e-5, (2e-6, 5e-5)),
        Setting("beta", "beta", 1.0, (0.3, 3.0)),
        Setting("imitation-weight", "imitation_weight", 0.0, (0.0, 0.1, 0.3, 1.0), each=True),
        Setting("label-smoothing", "label_smoothing", 0.0, (0.0, 0.05, 0.1), each=True),
    ),
    "ppo": (
        Setting("learning-rate", "lr", 1e-5, (2e-6, 5e-5)),
        Setting("clip", "clip_param", 0.2, (0.05, 0.4)),
        Setting("discount", "gamma", 0.98, (0.9, 0.95, 0.98, 0.99), each=True),
        Setting("entropy", "entropy_coeff", 0.0, (0.0, 0.001, 0.01), each=True),
        Setting("kl-weight", "kl_weight", 0.0, (0.0, 0.01, 0.1, 1.0), each=True),
    ),
}
#: Flags that may differ when a search is gone on with: they say where and how fast it is made.
INCIDENTAL = ("out", "shop", "task", "num_workers", "num_gpus", "at_once")
SPACE_COLUMNS = ("algorithm", "flag", "values", "default")


def space_rows() -> list[list[str]]:
    """The search space as rows of ``SPACE_COLUMNS``."""
    return [
        [algorithm, f"--{setting.flag}", str(setting), f"{setting.default:g}"]
        for algorithm, settings in SPACES.items()
        for setting in settings
    ]


@dataclass(kw_only=True)
class SearchArguments(TaskFlags):
    """What a search is told."""

    algorithm: Searched
    """What the trials train with: dpo (jobs/dpo.py) or ppo (jobs/ppo.py)."""
    policy: Place
    """Policy folder that every trial starts from."""
    out: Place
    """Folder of the search; with several nodes on storage that all of them see. Started again with the same flags, a
    search goes on."""
    trajectories: Place | None = None
    """Folder of recorded trajectories: what DPO learns from. The trials are compared on goals that none is about."""
    trials: Annotated[int, COUNT] = 16
    """Trials in all; the first has the job's defaults."""
    iterations: Annotated[int, COUNT] = 8
    """Iterations of a trial at most."""
    updates: Annotated[int, UPDATES] = 10
    """Gradient steps an iteration (dpo)."""
    batch: Annotated[int | None, COUNT] = None
    """Decisions a gradient step; by default 16 (dpo) or 32 (ppo), as in their jobs."""
    rollout_steps: Annotated[int, ROLLOUT_STEPS] = 512
    """Environment steps sampled an iteration, by all workers of a trial together (ppo)."""
    at_once: Annotated[int, COUNT] = 2
    """Trials that run at once, as far as the cluster has room."""
    num_workers: Annotated[int, ROLLOUT_WORKERS] = 0
    """Rollout processes of each trial (ppo); with 0 the trial's own process samples."""
    num_gpus: Annotated[float, GPUS] = 0.0
    """GPUs of each trial's learner, as 0.5 where two share one; with 0 it learns on a core."""
    seed: Annotated[int, SEED] = 0
    """Decides the settings that are tried, the goals they are compared on, and each trial's order of data and draws."""
    searcher: Literal["optuna", "random"] = "optuna"
    """optuna: settings near those that did well (TPE), after some at random. random: all at random."""
    scheduler: Literal["asha", "none"] = "asha"
    """asha: the worse half of the trials stops at --grace-period iterations, at twice as many, and so on. none: every
    trial has all its iterations."""
    grace_period: Annotated[int, COUNT] = 2
    """Iterations that ASHA gives every trial."""
    api: Literal["tuner", "run"] = "tuner"
    """Which way Ray Tune is called: tune.Tuner(...).fit() or tune.run(...). The search is the same."""
    evaluation_goals: Annotated[int, COUNT] = 100
    """Training goals that a trial plays greedily after each iteration; their mean reward decides."""
    frozen_layers: Annotated[int, FROZEN_LAYERS] = 4
    """Layers of the encoder, from the embeddings up, that are not trained; more are faster."""

    def validate(self) -> None:
        """What ASHA gives every trial is a part of what each may have, and DPO has something to learn from."""
        super().validate()
        if self.scheduler == "asha" and self.grace_period > self.iterations:
            raise UserError(
                f"--grace-period is {self.grace_period}, it must be at most --iterations, {self.iterations}"
            )
        batch = self.batch or BATCH[self.algorithm]
        if self.algorithm == "ppo" and batch > self.rollout_steps:
            raise UserError(f"--batch is {batch}, it must be at most --rollout-steps, {self.rollout_steps}")
        if self.algorithm == "dpo" and self.trajectories is None:
            raise UserError("--algorithm dpo learns from recorded trajectories: name their folder with --trajectories")


def common_flags(arguments: SearchArguments) -> dict[str, Any]:
    """The flags of both jobs that all trials have alike."""
    return {
        "task": arguments.spec,
        "seed": arguments.seed,
        "num_workers": arguments.num_workers,
        "num_gpus": arguments.num_gpus,
        "iterations": arguments.iterations,
        "head_rate": HEAD_RATE,
        "frozen_layers": arguments.frozen_layers,
        "batch": arguments.batch or BATCH[arguments.algorithm],
    }

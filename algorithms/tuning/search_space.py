"""What a hyperparameter search is told, and the settings it tries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from algorithms.common.ranges import FROZEN_LAYERS, GPUS, ROLLOUT_STEPS, ROLLOUT_WORKERS, UPDATES
from algorithms.common.settings import LearningSettings
from algorithms.dpo.settings import DPOSettings
from algorithms.ppo.settings import PPOSettings
from rl_recsys.console.ranges import COUNT, SEED
from rl_recsys.core.task_flags import TaskFlags
from rl_recsys.errors import UserError
from rl_recsys.evaluation.plots import Axis
from rl_recsys.storage.locations import Place

if TYPE_CHECKING:  # the flags are checked before Ray is there
    from ray.tune.search.sample import Domain

Searched = Literal["dpo", "ppo"]

#: The jobs' defaults, of which the search changes some.
DEFAULTS: dict[Searched, LearningSettings] = {"dpo": DPOSettings(), "ppo": PPOSettings()}


@dataclass(frozen=True)
class Setting:
    """A setting that is searched: its flag in the algorithm's job, and its values.

    ``values`` are the ends of a range that is drawn from log-uniformly, or, with ``each``, all that there are.
    """

    algorithm: Searched
    flag: str
    values: tuple[float, ...]
    each: bool = False

    @property
    def name(self) -> str:
        """Its name in the RLlib config."""
        field = self.flag.replace("-", "_")
        return DEFAULTS[self.algorithm].config_names.get(field, field)

    @property
    def default(self) -> float:
        """The job's default."""
        return getattr(DEFAULTS[self.algorithm], self.flag.replace("-", "_"))

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
        Setting("dpo", "learning-rate", (2e-6, 5e-5)),
        Setting("dpo", "beta", (0.3, 3.0)),
        Setting("dpo", "imitation-weight", (0.0, 0.1, 0.3, 1.0), each=True),
        Setting("dpo", "label-smoothing", (0.0, 0.05, 0.1), each=True),
    ),
    "ppo": (
        Setting("ppo", "learning-rate", (2e-6, 5e-5)),
        Setting("ppo", "clip", (0.05, 0.4)),
        Setting("ppo", "discount", (0.9, 0.95, 0.98, 0.99), each=True),
        Setting("ppo", "entropy", (0.0, 0.001, 0.01), each=True),
        Setting("ppo", "kl-weight", (0.0, 0.01, 0.1, 1.0), each=True),
    ),
}
#: Flags that may differ when a search is gone on with: they say where and how fast it is made.
INCIDENTAL = ("out", "shop", "task", "num_workers", "num_gpus", "at_once", "any_world")
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
    any_world: bool = False
    """Learn from --trajectories that were recorded in another world, as to train one policy on several shops; without
    it they are refused."""
    trials: Annotated[int, COUNT] = 16
    """Trials in all; the first has the job's defaults."""
    iterations: Annotated[int, COUNT] = DPOSettings.iterations
    """Iterations of a trial at most."""
    updates: Annotated[int, UPDATES] = DPOSettings.updates
    """Gradient steps an iteration (dpo)."""
    batch: Annotated[int | None, COUNT] = None
    """Decisions whose gradient is computed at once; by default as many as in the algorithm's job."""
    rollout_steps: Annotated[int, ROLLOUT_STEPS] = PPOSettings.rollout_steps
    """Environment steps sampled an iteration, by all workers of a trial together (ppo)."""
    at_once: Annotated[int, COUNT] = 2
    """Trials that run at once, as far as the cluster has room."""
    num_workers: Annotated[int, ROLLOUT_WORKERS] = 0
    """Rollout processes of each trial (ppo); with 0 the trial's own process samples."""
    num_gpus: Annotated[float, GPUS] = 0.0
    """GPUs of each trial's learner, as 0.5 where two share one; with 0 it learns on a core."""
    seed: Annotated[int, SEED] = LearningSettings.seed
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
    frozen_layers: Annotated[int, FROZEN_LAYERS] = LearningSettings.frozen_layers
    """Lowest layers of the encoder that are not trained, with the embeddings; more are faster and learn less."""

    def validate(self) -> None:
        """What ASHA gives every trial is a part of what each may have, and DPO has something to learn from."""
        super().validate()
        if self.scheduler == "asha" and self.grace_period > self.iterations:
            raise UserError(
                f"--grace-period is {self.grace_period}, it must be at most --iterations, {self.iterations}"
            )
        batch = common_flags(self)["batch"]
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
        "head_rate": DEFAULTS[arguments.algorithm].head_rate,
        "frozen_layers": arguments.frozen_layers,
        "batch": arguments.batch or DEFAULTS[arguments.algorithm].batch,
    }


def trial_settings(arguments: SearchArguments) -> LearningSettings:
    """The settings of every trial, but for those that are searched."""
    defaults = DEFAULTS[arguments.algorithm]
    of_algorithm = {"dpo": {"updates": arguments.updates}, "ppo": {"rollout_steps": arguments.rollout_steps}}
    return replace(
        defaults,
        seed=arguments.seed,
        iterations=arguments.iterations,
        frozen_layers=arguments.frozen_layers,
        batch=arguments.batch or defaults.batch,
        **of_algorithm[arguments.algorithm],
    )

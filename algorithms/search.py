"""Hyperparameter search: trials of DPO or PPO under Ray Tune, compared by what they score on held-out goals."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import optuna
from ray import tune
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from ray.tune.search.sample import Domain

from algorithms.arguments import TrainingArguments, configure
from algorithms.cluster import connect, quiet, require
from algorithms.dpo import DPOConfig
from algorithms.ppo import PPOConfig
from algorithms.training import current_model
from envs import register_with_ray
from policies.choice_model import decision_encoder, read_config
from policies.episodes import policy_episodes
from rl_recsys.errors import UserError, require_positive
from rl_recsys.evaluation.figures import Axis, parallel_coordinates
from rl_recsys.evaluation.report import markdown_rows
from rl_recsys.files import read_json, write_json, write_text
from rl_recsys.settings import claim
from rl_recsys.shop import shared_shop
from rl_recsys.storage import Place, absolute, inside
from rl_recsys.trajectories.known_goals import goals_of
from rl_recsys.trajectories.record import read_trajectories

Searched = Literal["dpo", "ppo"]

TUNE = "tune"  # Tune's own folder in that of a search
SCORE = "evaluation/score"
HEAD_RATE = 10.0  # the default of both jobs
BATCH = {"dpo": 16, "ppo": 32}  # their defaults too
REDUCTION = 2  # ASHA: of the trials that come to a rung, one in so many goes on
STARTUP_SHARE = 2  # Optuna: one in so many trials is drawn at random before the others are modelled, at most ten
KEPT = 3  # checkpoints of a trial
MAX_FAILURES = 2  # of a trial, each from its last checkpoint on
#: Seconds after which Tune writes down what its trials have done: with its ten a kill would lose trials that had begun
#: since. And no boxes, which name a folder for TensorBoard that is gone with the job.
TUNE_VARIABLES = {"TUNE_GLOBAL_CHECKPOINT_S": "2", "RAY_AIR_NEW_OUTPUT": "0"}


class SearchError(UserError):
    """A search cannot go on, or found nothing; the message says why and what to do."""


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
        Setting("entropy", "entropy_coeff", 0.0, (0.0, 0.001, 0.01), each=True),
        Setting("kl-weight", "kl_weight", 0.0, (0.0, 0.01, 0.1, 1.0), each=True),
    ),
}
SPACE_COLUMNS = ("algorithm", "flag", "values", "default")


def space_rows() -> list[list[str]]:
    """The search space as rows of ``SPACE_COLUMNS``."""
    return [
        [algorithm, f"--{setting.flag}", str(setting), f"{setting.default:g}"]
        for algorithm, settings in SPACES.items()
        for setting in settings
    ]


@dataclass(kw_only=True)
class SearchArguments:
    """What a search is told."""

    algorithm: Searched
    """What the trials train with: dpo (jobs/dpo.py) or ppo (jobs/ppo.py)."""
    shop: Place
    """Shop folder made by jobs/prepare.py."""
    policy: Place
    """Policy folder that every trial starts from."""
    out: Place
    """Folder of the search; with several nodes on storage that all of them see. Started again with the same flags, a
    search goes on."""
    trajectories: Place | None = None
    """Folder of recorded trajectories: what DPO learns from. The trials are compared on goals that none is about."""
    trials: int = 16
    """Trials in all; the first has the job's defaults."""
    iterations: int = 8
    """Iterations of a trial at most."""
    updates: int = 10
    """Gradient steps an iteration (dpo)."""
    batch: int | None = None
    """Decisions a gradient step; by default 16 (dpo) or 32 (ppo), as in their jobs."""
    rollout_steps: int = 512
    """Environment steps sampled an iteration, by all workers of a trial together (ppo)."""
    at_once: int = 2
    """Trials that run at once, as far as the cluster has room."""
    num_workers: int = 0
    """Rollout processes of each trial (ppo); with 0 the trial's own process samples."""
    num_gpus: float = 0.0
    """GPUs of each trial's learner, as 0.5 where two share one; with 0 it learns on a core."""
    seed: int = 0
    """Decides the settings that are tried, the goals they are compared on, and each trial's order of data and draws."""
    searcher: Literal["optuna", "random"] = "optuna"
    """optuna: settings near those that did well (TPE), after some at random. random: all at random."""
    scheduler: Literal["asha", "none"] = "asha"
    """asha: the worse half of the trials stops at --grace-period iterations, at twice as many, and so on. none: every
    trial has all its iterations."""
    grace_period: int = 2
    """Iterations that ASHA gives every trial."""
    api: Literal["tuner", "run"] = "tuner"
    """Which way Ray Tune is called: tune.Tuner(...).fit() or tune.run(...). The search is the same."""
    evaluation_goals: int = 100
    """Training goals that a trial plays greedily after each iteration; their mean reward decides."""
    frozen_layers: int = 4
    """Layers of the encoder, from the embeddings up, that are not trained; more are faster."""


@dataclass(frozen=True)
class HeldOut:
    """The goals that every trial plays, and how many of them a trajectory is about."""

    goals: tuple[int, ...]
    known: int = 0

    def __str__(self) -> str:
        kind = f"{self.known} of them of trajectories" if self.known else "held out"
        return f"{len(self.goals)} training goals, {kind}"


@dataclass(frozen=True)
class TrialResult:
    """A trial's last result: ``score`` is 100 x the mean reward on the held-out goals, ``success`` a share of them.

    Both are None for a trial that failed before its first result. ``settings``: flag -> value.
    """

    number: int
    state: Literal["finished", "stopped early", "failed"]
    iterations: int
    score: float | None
    success: float | None
    minutes: float
    settings: dict[str, float]
    folder: str


@dataclass(frozen=True)
class PlayHeldOut:
    """RLlib callback: after each iteration the current policy plays the held-out goals, greedily."""

    shop: str
    goals: tuple[int, ...]

    def __call__(self, *, algorithm: Any, result: dict, **kwargs: Any) -> None:
        """Add ``score`` and ``success`` to the result, under "evaluation"."""
        encoder = decision_encoder(algorithm.config.policy)
        outcomes = list(
            policy_episodes(current_model(algorithm), encoder, shared_shop(self.shop), self.goals, greedy=True)
        )
        result["evaluation"] = {
            "score": 100 * fmean(outcome.reward for outcome in outcomes),
            "success": fmean(outcome.success for outcome in outcomes),
        }


class LastingASHA(ASHAScheduler):
    """ASHA that knows, when a search goes on, what its trials had reported. Tune does not keep a scheduler's state."""

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Put what the trial has reported on the rungs."""
        super().on_trial_add(tune_controller, trial)
        for row in _reported(Path(trial.path)) if trial.has_reported_at_least_once else []:
            self._trial_info[trial.trial_id].on_result(trial, row["training_iteration"], row["evaluation"]["score"])


class Lines(tune.Callback):
    """A line for each result of a trial: Tune's own output is 320 lines a trial."""

    def __init__(self, trials: int, iterations: int):
        self._trials, self._iterations = trials, iterations

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any) -> None:
        """Print it, with the trials that are done and the best so far."""
        scores = {
            _number(one): one.last_result["evaluation"]["score"] for one in trials if one.has_reported_at_least_once
        }
        scores[_number(trial)] = result["evaluation"]["score"]
        best = min(scores, key=lambda number: (-scores[number], number))
        print(
            f"trial {_number(trial)}, iteration {result['training_iteration']} of {self._iterations}: "
            f"score {result['evaluation']['score']:.1f}, success {result['evaluation']['success']:.1%}  "
            f"({sum(one.is_finished() for one in trials)} of {self._trials} trials done, "
            f"best: trial {best} with {scores[best]:.1f})",
            flush=True,
        )

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Say where its traceback is."""
        print(f"trial {_number(trial)} failed: {Path(trial.path) / 'error.txt'}", flush=True)


class KeepLast(tune.Callback):
    """Removes the checkpoints of a trial before its last ``KEPT``.

    Tune would do it too, but may not have written down yet that there are others when it is killed.
    """

    def on_checkpoint(self, iteration: int, trials: list[Trial], trial: Trial, checkpoint: Any, **info: Any) -> None:
        """There is another one."""
        for old in sorted(Path(trial.path).glob("checkpoint_*"))[:-KEPT]:
            shutil.rmtree(old)


def held_out_goals(arguments: SearchArguments) -> HeldOut:
    """A seeded sample of training goals, of those that no trajectory is about as long as there are any.

    Raises ``UserError`` where the trajectories cannot be read.
    """
    goals = list(shared_shop(arguments.shop).split("train"))
    random.Random(arguments.seed).shuffle(goals)
    known = goals_of(arguments.trajectories, shared_shop(arguments.shop)) if arguments.trajectories else set()
    goals.sort(key=known.__contains__)
    chosen = goals[: arguments.evaluation_goals]
    return HeldOut(tuple(chosen), len(known.intersection(chosen)))


def trial_config(arguments: SearchArguments, held_out: HeldOut, settings: Mapping[str, Any]) -> AlgorithmConfig:
    """What the algorithm's job makes of a trial's flags, and what compares the trials.

    ``settings``: flag -> value, or what Tune draws it from. PPO's rollouts leave the held-out goals out.
    """
    common, shop = TrainingArguments(out=arguments.out, **_common_flags(arguments)), absolute(arguments.shop)
    if arguments.algorithm == "dpo":
        config = configure(DPOConfig(), common, arguments.policy, ticks=1).training(
            trajectories=absolute(arguments.trajectories),
            shop=shop,
            updates_per_iteration=arguments.updates,
            train_batch_size_per_learner=common.batch,
        )
    else:
        others = set(held_out.goals)
        config = configure(PPOConfig(), common, arguments.policy, ticks=1).training(
            train_batch_size_per_learner=arguments.rollout_steps, minibatch_size=common.batch
        )
        config.environment(
            env_config={
                "shop": shop,
                "tokenizer": config.policy,
                "goals": [goal for goal in shared_shop(arguments.shop).split("train") if goal not in others],
                "encoding": read_config(config.policy).shape,
            }
        )
        config.env_runners(num_env_runners=arguments.num_workers, num_cpus_per_env_runner=1)
    config.callbacks(on_train_result=PlayHeldOut(shop, held_out.goals))
    return config.training(**{setting.name: settings[setting.flag] for setting in SPACES[arguments.algorithm]})


def _common_flags(arguments: SearchArguments) -> dict[str, Any]:
    """The flags of both jobs that all trials have alike."""
    return {
        "shop": absolute(arguments.shop),
        "seed": arguments.seed,
        "num_workers": arguments.num_workers,
        "num_gpus": arguments.num_gpus,
        "iterations": arguments.iterations,
        "head_rate": HEAD_RATE,
        "frozen_layers": arguments.frozen_layers,
        "batch": arguments.batch or BATCH[arguments.algorithm],
    }


def training_command(arguments: SearchArguments, trial: TrialResult) -> str:
    """The command that trains as a trial did, for as many iterations, and leaves the policy in best/ of the search."""
    flags = _common_flags(arguments) | {
        "policy": absolute(arguments.policy),
        "out": inside(absolute(arguments.out), "best"),
        "iterations": trial.iterations,
    }
    if arguments.algorithm == "dpo":
        flags |= {"trajectories": absolute(arguments.trajectories), "updates": arguments.updates}
    else:
        flags |= {"rollout_steps": arguments.rollout_steps}
    words = [[f"--{flag.replace('_', '-')}", str(value)] for flag, value in (flags | trial.settings).items()]
    return shlex.join(["python", f"jobs/{arguments.algorithm}.py", *(word for pair in words for word in pair)])


def search(arguments: SearchArguments, folder: Path) -> tuple[list[TrialResult], HeldOut]:
    """Run the trials, as far as they are not done; best first, and what they played.

    ``folder``: the local one of ``arguments.out``. Raises ``UserError`` for flags that no search can have,
    ``ClusterError`` where the cluster cannot hold a trial, ``SettingsError`` where ``folder`` has another search, and
    ``SearchError`` where it was interrupted or all trials failed.
    """
    quiet()
    _check(arguments)
    held_out = held_out_goals(arguments)
    settings = SPACES[arguments.algorithm]
    config = trial_config(arguments, held_out, {setting.flag: setting.default for setting in settings})
    try:
        config.validate()
    except ValueError as error:
        raise UserError(str(error).splitlines()[0]) from None
    deciding = {name: value for name, value in asdict(arguments).items() if name != "out"}
    states = sorted((folder / TUNE).glob("experiment_state-*.json"))
    claim(folder, deciding | {"shop_fingerprint": shared_shop(arguments.shop).fingerprint}, begun=bool(states))
    if states and read_json(states[-1]) is None:  # Tune would begin anew without a word
        raise SearchError(f"{states[-1]} is damaged, so the search cannot go on; begin one in another --out")
    trials = _trials(folder) if states else []
    if not _done(arguments, trials):
        connect(num_cpus=arguments.at_once * (arguments.num_workers + 1))
        require(config)
        register_with_ray()
        space = trial_config(arguments, held_out, {setting.flag: setting.domain for setting in settings})
        if not states:
            shutil.rmtree(folder / TUNE, ignore_errors=True)  # of a search that was killed before a trial began
        _tune(arguments, folder, space, resume=bool(states))
        trials = _trials(folder)
        _remove_unknown(folder, trials)
    if len(trials) < arguments.trials or not all(trial.is_finished() for trial in trials):
        raise SearchError(f"{folder}: the search was interrupted; the same command goes on with it")
    results = [_result(arguments, trial) for trial in trials]
    if all(result.state == "failed" for result in results):
        raise SearchError(f"all trials failed; why the first did is in {results[0].folder}/error.txt")
    return sorted(results, key=_rank), held_out


def _check(arguments: SearchArguments) -> None:
    """Raise ``UserError`` for flags that no search can have, and for folders that are not there."""
    positive = ("trials", "iterations", "updates", "rollout_steps", "at_once", "grace_period", "evaluation_goals")
    require_positive(arguments, *positive, *(["batch"] if arguments.batch is not None else []))
    if arguments.scheduler == "asha" and arguments.grace_period > arguments.iterations:
        raise UserError(
            f"--grace-period is {arguments.grace_period}, it must not be above --iterations ({arguments.iterations})"
        )
    if arguments.num_workers < 0 or arguments.num_gpus < 0:
        raise UserError("--num-workers and --num-gpus must not be negative")
    goals = len(shared_shop(arguments.shop).split("train"))
    if arguments.evaluation_goals >= goals:
        raise UserError(f"--evaluation-goals is {arguments.evaluation_goals}, the shop has {goals} training goals")
    read_config(absolute(arguments.policy))
    if arguments.algorithm == "dpo":
        if arguments.trajectories is None:
            raise UserError("--algorithm dpo learns from recorded trajectories: name their folder with --trajectories")
        if not any(one.success for one in read_trajectories(arguments.trajectories)):
            raise UserError(f"--trajectories {arguments.trajectories}: none of them has a reward of 1")


def _tune(arguments: SearchArguments, folder: Path, space: AlgorithmConfig, *, resume: bool) -> None:
    """Let Tune run the trials, by either of its two ways."""
    for name, value in TUNE_VARIABLES.items():
        os.environ.setdefault(name, value)
    place = (folder / TUNE).resolve()
    compared = {
        "metric": SCORE,
        "mode": "max",
        "search_alg": _searcher(arguments),
        "scheduler": _scheduler(arguments),
        "num_samples": arguments.trials,
        "max_concurrent_trials": arguments.at_once,
        "trial_dirname_creator": trial_folder,
    }
    run = {
        "name": place.name,
        "storage_path": str(place.parent),
        "stop": {"training_iteration": arguments.iterations},
        "checkpoint_config": tune.CheckpointConfig(checkpoint_frequency=1),
        "callbacks": [Lines(arguments.trials, arguments.iterations), KeepLast()],
        "verbose": 0,
    }
    trainable = space.algo_class
    if arguments.api == "run":
        going_on = "AUTO+ERRORED" if resume else None
        tune.run(
            trainable, config=space.to_dict(), max_failures=MAX_FAILURES, raise_on_failed_trial=False, resume=going_on,
            **compared, **run,
        )  # fmt: skip
        return
    if resume:
        tuner = tune.Tuner.restore(
            str(place), trainable, param_space=space, resume_unfinished=True, resume_errored=True
        )
    else:
        failures = tune.FailureConfig(max_failures=MAX_FAILURES)
        tuner = tune.Tuner(
            trainable,
            param_space=space,
            tune_config=tune.TuneConfig(**compared),
            run_config=tune.RunConfig(failure_config=failures, **run),
        )
    tuner.fit()


def _searcher(arguments: SearchArguments) -> OptunaSearch:
    """The searcher, which also draws at random: so there is one way to go on with a search."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if arguments.searcher == "random":
        sampler = optuna.samplers.RandomSampler(seed=arguments.seed)
    else:
        startup = min(10, -(-arguments.trials // STARTUP_SHARE))
        sampler = optuna.samplers.TPESampler(seed=arguments.seed, n_startup_trials=startup, constant_liar=True)
    defaults = {setting.name: setting.default for setting in SPACES[arguments.algorithm]}
    return OptunaSearch(sampler=sampler, points_to_evaluate=[defaults])


def _scheduler(arguments: SearchArguments) -> ASHAScheduler | None:
    if arguments.scheduler == "none":
        return None
    return LastingASHA(
        "training_iteration",
        max_t=arguments.iterations,
        grace_period=arguments.grace_period,
        reduction_factor=REDUCTION,
    )


def trial_folder(trial: Trial) -> str:
    """What a trial's folder is called."""
    return f"trial-{_number(trial):03d}-{trial.trial_id}"


def _number(trial: Trial) -> int:
    """From 1 on, in the order in which trials were begun."""
    return int(trial.experiment_tag.partition("_")[0])


def _trials(folder: Path) -> list[Trial]:
    """The trials that Tune has last written of."""
    return tune.ExperimentAnalysis(str((folder / TUNE).resolve())).trials


def _done(arguments: SearchArguments, trials: Sequence[Trial]) -> bool:
    """Whether there is nothing to do; what failed is tried again."""
    return len(trials) == arguments.trials and all(trial.status == Trial.TERMINATED for trial in trials)


def _remove_unknown(folder: Path, trials: Sequence[Trial]) -> None:
    """Remove the folders of trials that a kill kept Tune from knowing: others have their settings."""
    known = {Path(trial.path).name for trial in trials}
    for path in (folder / TUNE).glob("trial-*"):
        if path.name not in known:
            shutil.rmtree(path)


def _reported(folder: Path) -> list[dict]:
    """The results of a trial, each iteration once: a kill may have had some made twice, and one cut short."""
    path = folder / "result.json"
    rows = {}
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        rows[row["training_iteration"]] = row
    return [rows[iteration] for iteration in sorted(rows)]


def _result(arguments: SearchArguments, trial: Trial) -> TrialResult:
    # A trial that was killed after its last iteration, before Tune knew that it was the last, has made another.
    rows = [row for row in _reported(Path(trial.path)) if row["training_iteration"] <= arguments.iterations]
    last = rows[-1] if rows else {"training_iteration": 0, "time_total_s": 0.0}
    figures = last.get("evaluation", {})
    stopped = last["training_iteration"] < arguments.iterations
    return TrialResult(
        number=_number(trial),
        state="failed" if trial.status == Trial.ERROR else "stopped early" if stopped else "finished",
        iterations=last["training_iteration"],
        score=figures.get("score"),
        success=figures.get("success"),
        minutes=last["time_total_s"] / 60,
        settings={setting.flag: trial.config[setting.name] for setting in SPACES[arguments.algorithm]},
        folder=trial.path,
    )


def _rank(result: TrialResult) -> tuple:
    return result.state == "failed", -(result.score or 0.0), result.number


def trial_columns(arguments: SearchArguments) -> list[str]:
    """The columns of ``trial_rows``."""
    settings = [setting.flag for setting in SPACES[arguments.algorithm]]
    return ["trial", "score", "success %", "iterations", "state", "minutes", *settings]


def trial_rows(results: Sequence[TrialResult]) -> list[list[str]]:
    """A row of text for each trial."""
    return [
        [
            str(result.number),
            "-" if result.score is None else f"{result.score:.1f}",
            "-" if result.success is None else f"{100 * result.success:.1f}",
            str(result.iterations),
            result.state,
            f"{result.minutes:.1f}",
            *(f"{value:.3g}" for value in result.settings.values()),
        ]
        for result in results
    ]


def write_results(
    arguments: SearchArguments, results: Sequence[TrialResult], held_out: HeldOut, folder: Path, title: str
) -> None:
    """Write trials.csv, table.md, best.json and parallel-coordinates.png of trials, best first."""
    text = io.StringIO()
    rows = [{**asdict(result), **result.settings} for result in results]
    names = [name for name in rows[0] if name != "settings"]
    writer = csv.DictWriter(text, names, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / "trials.csv", text.getvalue())
    write_text(folder / "table.md", f"{title}\n\n{markdown_rows(trial_columns(arguments), trial_rows(results))}")
    best = results[0]
    write_json(
        folder / "best.json",
        {
            "trial": best.number,
            "score": best.score,
            "success": best.success,
            "iterations": best.iterations,
            "goals": len(held_out.goals),
            "goals_of_trajectories": held_out.known,
            "settings": best.settings,
            "command": training_command(arguments, best),
        },
    )
    scored = [result for result in results if result.score is not None]
    scores = [result.score for result in scored]
    axes = {setting.flag: setting.axis for setting in SPACES[arguments.algorithm]}
    axes["score"] = Axis((min(scores), max(scores)))
    parallel_coordinates(
        axes,
        [{**result.settings, "score": result.score} for result in scored],
        [result.state == "finished" for result in scored],
        folder / "parallel-coordinates.png",
        title,
    )

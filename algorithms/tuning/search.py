"""Hyperparameter search: trials of DPO or PPO under Ray Tune, compared by what they score on held-out goals."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
from ray import tune
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.tune.experiment import Trial
from ray.tune.result import TRAINING_ITERATION
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from algorithms.cluster.connection import bundles_of, connect, quiet, require_resources
from algorithms.common.rllib_compat import TUNE_VARIABLES, trial_number
from algorithms.dpo import DPOConfig
from algorithms.ppo import PPOConfig
from algorithms.runs.training_job import place_learners
from algorithms.runs.training_run import current_policy
from algorithms.tuning.search_results import HeldOut, TrialResult, rank
from algorithms.tuning.search_space import INCIDENTAL, SPACES, SearchArguments, trial_settings
from envs import register_with_ray
from policies.play import policy_episodes
from rl_recsys.console.progress import phase
from rl_recsys.console.terminal import say
from rl_recsys.core.encoding import FittingGoals, fitting_goals, load_decision_encoder
from rl_recsys.core.play import goals_of
from rl_recsys.core.recording import require_recorded_in
from rl_recsys.core.task import open_task
from rl_recsys.core.task_flags import FINGERPRINT
from rl_recsys.core.trajectory import read_trajectories
from rl_recsys.errors import UserError
from rl_recsys.runs.provenance import made_by, note_maker
from rl_recsys.runs.settings import claim, deciding
from rl_recsys.storage.files import read_json
from rl_recsys.storage.locations import absolute

TUNE = "tune"  # Tune's own folder in that of a search
SCORE = "evaluation/score"
REDUCTION = 2  # ASHA: of the trials that come to a rung, one in so many goes on
STARTUP_SHARE = 2  # Optuna: one in so many trials is drawn at random before the others are modelled, at most ten
KEPT = 3  # checkpoints of a trial
MAX_FAILURES = 2  # of a trial, each from its last checkpoint on


class SearchError(UserError):
    """A search cannot go on, or found nothing; the message says why and what to do."""


@dataclass(frozen=True)
class PlayHeldOut:
    """RLlib callback: after each iteration the current policy plays the held-out goals, greedily.

    Its score is a number, for play raises where a policy or a world gives nan. ASHA stops no trial whose score is nan,
    and Optuna counts it as running for ever (docs/reference/surprises.md).
    """

    task: str
    goals: tuple[int, ...]

    def __call__(self, *, algorithm: Any, result: dict, **kwargs: Any) -> None:
        """Add ``score`` and ``success`` to the result, under "evaluation"."""
        outcomes = list(policy_episodes(current_policy(algorithm), open_task(self.task), self.goals, greedy=True))
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
            reported = {TRAINING_ITERATION: row[TRAINING_ITERATION], SCORE: row["evaluation"]["score"]}
            self.on_trial_result(tune_controller, trial, reported)


class Lines(tune.Callback):
    """A line for each result of a trial: Tune's own output is 320 lines a trial."""

    def __init__(self, trials: int, iterations: int):
        self._trials, self._iterations = trials, iterations

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any) -> None:
        """Print it, with the trials that are done and the best so far."""
        scores = {
            trial_number(each): each.last_result["evaluation"]["score"]
            for each in trials
            if each.has_reported_at_least_once
        }
        scores[trial_number(trial)] = result["evaluation"]["score"]
        best = min(scores, key=lambda number: (-scores[number], number))
        say(
            f"trial {trial_number(trial)}, iteration {result['training_iteration']} of {self._iterations}: "
            f"score {result['evaluation']['score']:.1f}, success {result['evaluation']['success']:.1%}  "
            f"({sum(one.is_finished() for one in trials)} of {self._trials} trials done, "
            f"best: trial {best} with {scores[best]:.1f})",
        )

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Say where its traceback is."""
        say(f"trial {trial_number(trial)} failed: {Path(trial.path) / 'error.txt'}")


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
    goals = list(training_goals(arguments).goals)
    random.Random(arguments.seed).shuffle(goals)
    known = goals_of(arguments.trajectories, arguments.open_task()) if arguments.trajectories else set()
    goals.sort(key=known.__contains__)
    chosen = goals[: arguments.evaluation_goals]
    return HeldOut(tuple(chosen), len(known.intersection(chosen)))


def training_goals(arguments: SearchArguments) -> FittingGoals:
    """The task's training goals that the policy can play. Raises ``EncodingError`` where there is none."""
    task = arguments.open_task()
    return fitting_goals(task, task.split("train"), load_decision_encoder(arguments.policy))


def trial_config(arguments: SearchArguments, held_out: HeldOut, settings: Mapping[str, Any]) -> AlgorithmConfig:
    """What the algorithm's job makes of a trial's flags, and what compares the trials.

    ``settings``: flag -> value, or what Tune draws it from. PPO's rollouts leave the held-out goals out.
    """
    task = arguments.open_task().spec
    if arguments.algorithm == "dpo":
        config = DPOConfig().training(trajectories=absolute(arguments.trajectories), task=task)
    else:
        others = set(held_out.goals)
        config = PPOConfig().environment(
            env_config={
                "task": task,
                "policy": absolute(arguments.policy),
                "goals": [goal for goal in training_goals(arguments).goals if goal not in others],
            }
        )
        config.env_runners(num_env_runners=arguments.num_workers)
    config.apply_settings(trial_settings(arguments)).training(policy=absolute(arguments.policy))
    place_learners(config, count=1, gpus=arguments.num_gpus)
    config.callbacks(on_train_result=PlayHeldOut(task, held_out.goals))
    return config.training(**{setting.name: settings[setting.flag] for setting in SPACES[arguments.algorithm]})


def search(arguments: SearchArguments, folder: Path) -> tuple[list[TrialResult], HeldOut]:
    """Run the trials, as far as they are not done; best first, and what they played.

    ``folder``: the local one of ``arguments.out``. Raises ``UserError`` for folders that no search can use,
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
    decided = deciding(arguments, INCIDENTAL) | {"space": {setting.flag: str(setting) for setting in settings}}
    states = sorted((folder / TUNE).glob("experiment_state-*.json"))
    decided |= {FINGERPRINT: arguments.open_task().fingerprint}
    claim(folder, decided, begun=bool(states), incidental=INCIDENTAL)
    if states and read_json(states[-1]) is None:  # Tune would begin anew without a word
        raise SearchError(f"{states[-1]} is damaged, so the search cannot go on; begin one in another --out")
    trials = _trials(folder) if states else []
    if not _done(arguments, trials):
        connect(num_cpus=arguments.at_once * (arguments.num_workers + 1))
        require_resources(bundles_of(config))
        register_with_ray()
        space = trial_config(arguments, held_out, {setting.flag: setting.domain for setting in settings})
        if not states:
            shutil.rmtree(folder / TUNE, ignore_errors=True)  # of a search that was killed before a trial began
        if len(makers := note_maker(folder)) > 1:  # Tune would compare their trials without a word
            say(f"warning: trials of this search are made with different code. {made_by({'it': makers})}")
        with phase(f"searching: {arguments.trials} trials of {arguments.iterations} iterations"):
            _tune(arguments, folder, space, resume=bool(states))
        trials = _trials(folder)
        _remove_unknown(folder, trials)
    if len(trials) < arguments.trials or not all(trial.is_finished() for trial in trials):
        raise SearchError(f"{folder}: the search was interrupted; the same command goes on with it")
    results = [_result(arguments, trial) for trial in trials]
    if all(result.state == "failed" for result in results):
        raise SearchError(f"all trials failed; why the first did is in {results[0].folder}/error.txt")
    return sorted(results, key=rank), held_out


def _check(arguments: SearchArguments) -> None:
    """Raise ``UserError`` where the shop or the trajectories have too little, or a folder is not there."""
    if arguments.trajectories and not arguments.any_world:
        require_recorded_in(arguments.open_task(), arguments.trajectories)
    training = training_goals(arguments)
    if arguments.evaluation_goals >= len(training.goals):
        raise UserError(
            f"--evaluation-goals is {arguments.evaluation_goals}, the task has {len(training.goals)} training goals"
        )
    if training.too_long:
        say(training)
    if arguments.algorithm == "dpo" and not any(one.success for one in read_trajectories(arguments.trajectories)):
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
    return f"trial-{trial_number(trial):03d}-{trial.trial_id}"


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
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        with suppress(ValueError, KeyError, TypeError):
            row = json.loads(line)
            rows[row["training_iteration"]] = row
    return [rows[iteration] for iteration in sorted(rows)]


def _result(arguments: SearchArguments, trial: Trial) -> TrialResult:
    # A trial that was killed after its last iteration, before Tune knew that it was the last, has made another.
    rows = [row for row in _reported(Path(trial.path)) if row["training_iteration"] <= arguments.iterations]
    last = rows[-1] if rows else {"training_iteration": 0, "time_total_s": 0.0}
    figures = last.get("evaluation", {})
    stopped = last["training_iteration"] < arguments.iterations
    return TrialResult(
        number=trial_number(trial),
        state="failed" if trial.status == Trial.ERROR else "stopped early" if stopped else "finished",
        iterations=last["training_iteration"],
        score=figures.get("score"),
        success=figures.get("success"),
        minutes=last["time_total_s"] / 60,
        settings={setting.flag: trial.config[setting.name] for setting in SPACES[arguments.algorithm]},
        folder=trial.path,
    )

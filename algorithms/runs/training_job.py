"""A training job: the RLlib config and the run that its flags describe."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

from algorithms.cluster.connection import accelerator_resource, connect_for, quiet
from algorithms.common.config import SettingsConfig
from algorithms.common.learner import LAST_UPDATE
from algorithms.runs.telemetry import tracker
from algorithms.runs.training_flags import ADDED, RECORDED_INCIDENTAL, TrainingArguments
from algorithms.runs.training_run import Evaluation, Schedule, TrainingRun
from policies.base import Policy
from policies.play import policy_episodes
from rl_recsys.console.terminal import say
from rl_recsys.console.verbosity import shows_everything
from rl_recsys.core.encoding import fitting_goals, load_decision_encoder
from rl_recsys.core.policy_folder import TRAINING_FILE, read_policy_file
from rl_recsys.core.recording import require_recorded_in
from rl_recsys.core.task import Task
from rl_recsys.core.task_flags import FINGERPRINT
from rl_recsys.errors import UserError
from rl_recsys.runs.settings import deciding
from rl_recsys.storage.locations import Place, absolute, place_of

ACCELERATOR_SHARE = 0.001  # a learner only says where it wants to be; its GPU is counted as such

Config = TypeVar("Config", bound=SettingsConfig)


def configure(config: Config, arguments: TrainingArguments, policy: Place) -> Config:
    """The config of a job's flags, which hold the algorithm's settings too; ``policy`` is where the run starts."""
    config.apply_settings(arguments, num_learners=arguments.num_learners)
    config.training(policy=absolute(policy))
    if trajectories := _recorded(arguments):
        config.training(trajectories=absolute(trajectories))
    gpus = arguments.num_gpus if arguments.num_gpus is not None else float(arguments.learner is not None)
    place_learners(config, count=arguments.num_learners, gpus=gpus, accelerator=arguments.learner)
    return config.debugging(log_level="INFO" if shows_everything() else "WARN")


def _recorded(arguments: TrainingArguments) -> Place | None:
    """The episodes that a job learns from, where it learns from recorded ones."""
    return getattr(arguments, "trajectories", None)


def place_learners(config: AlgorithmConfig, *, count: int, gpus: float, accelerator: str | None = None) -> None:
    """Put learners on GPUs or on nodes with an accelerator; a single one that needs neither learns in the driver."""
    config.learners(
        num_learners=count if gpus or accelerator or count > 1 else 0,
        num_gpus_per_learner=gpus,
        custom_resources_per_learner={accelerator_resource(accelerator): ACCELERATOR_SHARE} if accelerator else {},
    )


def run(config: AlgorithmConfig, arguments: TrainingArguments, headline: Mapping[str, str]) -> dict:
    """Train as the arguments say and return the summary. ``headline`` maps result names to their format and label."""
    task = arguments.open_task()  # what is missing is said before Ray is started
    goals = fitting_goals(task, task.split("train"), load_decision_encoder(config.policy))
    if goals.too_long:
        say(goals)
    trajectories = _recorded(arguments)
    if trajectories and not arguments.any_world:
        require_recorded_in(task, trajectories)
    for name in arguments.log_to:
        tracker(name)
    quiet()
    try:
        config.validate()
    except ValueError as error:
        raise UserError(str(error).splitlines()[0]) from None
    settings = deciding(arguments, RECORDED_INCIDENTAL) | {FINGERPRINT: task.fingerprint}
    training = TrainingRun(arguments.out, settings, incidental=RECORDED_INCIDENTAL, added=ADDED)
    training.open()
    if training.finished:
        say(f"{place_of(training.policy_folder)}: this run is finished")
        return read_policy_file(training.policy_folder, TRAINING_FILE)
    torch.manual_seed(arguments.seed)
    connect_for(config, wait_s=60 * arguments.wait_for_nodes)
    evaluation = None
    if arguments.evaluate_every:
        evaluation = Evaluation(_evaluation(arguments, task, goals.goals), arguments.evaluate_every)
    schedule = Schedule(
        arguments.iterations,
        arguments.checkpoint_every,
        headline=lambda row: ", ".join(shown.format(row[name]) for name, shown in headline.items() if name in row),
        evaluation=evaluation,
        snapshot_minutes=arguments.snapshot_minutes,
        last_update=config.learner_config_dict[LAST_UPDATE],
        trackers=arguments.log_to,
    )
    return training.train(config, schedule)


def _evaluation(
    arguments: TrainingArguments, task: Task, training: Sequence[int]
) -> Callable[[Policy], dict[str, float]]:
    goals = random.Random(0).sample(training, min(arguments.evaluation_goals, len(training)))

    def play(policy: Policy) -> dict[str, float]:
        outcomes = list(policy_episodes(policy, task, goals, greedy=True))
        return {
            "score": 100 * sum(outcome.reward for outcome in outcomes) / len(outcomes),
            "success": sum(outcome.success for outcome in outcomes) / len(outcomes),
            "steps": sum(outcome.steps for outcome in outcomes) / len(outcomes),
        }

    return play

"""What is reported of rollouts, whoever played them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED, NUM_EPISODES
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

from algorithms.common.figures import MEAN
from rl_recsys.core.outcome import is_success
from rl_recsys.core.trajectory import Trajectory

GOALS = "goals"  # of an iteration's episodes, each by a number; a run counts the different ones


def log_episode(
    metrics: MetricsLogger, key: tuple[str, ...], reward: float, parts: Mapping[str, float], steps: int
) -> None:
    """Log under ``key``, to be means over an iteration's episodes: success, score (100 x reward), the reward's parts,
    steps."""
    figures = {"success": float(is_success(reward)), "score": 100.0 * reward, "steps": float(steps)}
    figures |= {f"parts/{name}": float(part) for name, part in parts.items() if part is not None}
    for name, value in figures.items():
        metrics.log_value((*key, name), value, reduce=MEAN)


def log_goal(metrics: MetricsLogger, key: tuple[str, ...], instruction: str) -> None:
    """Log under ``key`` which goal an episode has, by a digest of its instruction: a goal that is made up has no
    number."""
    digest = hashlib.blake2b(instruction.encode("utf-8", "surrogatepass"), digest_size=6).digest()
    metrics.log_value((*key, GOALS), int.from_bytes(digest, "big"), reduce="item_series")


def goals_of(figures: Mapping[str, Any]) -> list[int]:
    """What ``log_goal`` logged in an iteration, of "env_runners" in RLlib's result: it makes a number of a list of one,
    and nan of an empty one."""
    found = figures.get(GOALS, [])
    return [goal for goal in (found if isinstance(found, list) else [found]) if not math.isnan(goal)]


def log_rollouts(metrics: MetricsLogger, episodes: Sequence[Trajectory]) -> None:
    """Log an algorithm's own rollouts as RLlib's workers log theirs."""
    for episode in episodes:
        log_goal(metrics, (ENV_RUNNER_RESULTS,), episode.goal["instruction_text"])
        log_episode(metrics, (ENV_RUNNER_RESULTS,), episode.reward, episode.reward_parts, len(episode.steps))
    metrics.log_value((ENV_RUNNER_RESULTS, NUM_EPISODES), len(episodes), reduce="sum")
    steps = float(sum(len(episode.steps) for episode in episodes))
    metrics.log_value((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED), steps, reduce="sum")

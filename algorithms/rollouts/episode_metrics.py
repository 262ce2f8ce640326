"""What is reported of rollouts, whoever played them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, EPISODE_LEN_MEAN, NUM_ENV_STEPS_SAMPLED
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

from rl_recsys.core.outcome import is_success
from rl_recsys.core.trajectory import Trajectory

EPISODES = 200  # whose means are reported


def log_episode(metrics: MetricsLogger, key: tuple[str, ...], reward: float, parts: Mapping[str, float]) -> None:
    """Log under ``key``: success, score (100 x reward) and the reward's parts."""
    metrics.log_value((*key, "success"), float(is_success(reward)), window=EPISODES)
    metrics.log_value((*key, "score"), 100.0 * reward, window=EPISODES)
    for name, part in parts.items():
        if part is not None:
            metrics.log_value((*key, f"parts/{name}"), float(part), window=EPISODES)


def log_rollouts(metrics: MetricsLogger, episodes: Sequence[Trajectory]) -> None:
    """Log an algorithm's own rollouts as RLlib's workers log theirs."""
    for episode in episodes:
        log_episode(metrics, (ENV_RUNNER_RESULTS,), episode.reward, episode.reward_parts)
        metrics.log_value((ENV_RUNNER_RESULTS, EPISODE_LEN_MEAN), len(episode.steps), window=EPISODES)
    steps = float(sum(len(episode.steps) for episode in episodes))
    metrics.log_value((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED), steps, reduce="sum")

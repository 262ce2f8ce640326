"""What is reported of rollouts, whoever played them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, EPISODE_LEN_MEAN, NUM_ENV_STEPS_SAMPLED
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

from rl_recsys.core.trajectory import Trajectory
from rl_recsys.webshop.play.reward import REWARD_PARTS

EPISODES = 200  # whose means are reported


def log_episode(metrics: MetricsLogger, key: tuple[str, ...], reward: float, parts: Mapping[str, float]) -> None:
    """Log under ``key``: success (reward exactly 1), score (100 x reward) and, of a purchase, the reward's parts."""
    metrics.log_value((*key, "success"), float(reward == 1.0), window=EPISODES)
    metrics.log_value((*key, "score"), 100.0 * reward, window=EPISODES)
    for name in REWARD_PARTS:
        if parts.get(name) is not None:
            metrics.log_value((*key, f"parts/{name}"), float(parts[name]), window=EPISODES)


def log_rollouts(metrics: MetricsLogger, episodes: Sequence[Trajectory]) -> None:
    """Log an algorithm's own rollouts as RLlib's workers log theirs."""
    for episode in episodes:
        log_episode(metrics, (ENV_RUNNER_RESULTS,), episode.reward, episode.reward_parts)
        metrics.log_value((ENV_RUNNER_RESULTS, EPISODE_LEN_MEAN), len(episode.steps), window=EPISODES)
    steps = float(sum(len(episode.steps) for episode in episodes))
    metrics.log_value((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED), steps, reduce="sum")

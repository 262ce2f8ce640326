"""Figures of an iteration: means over all that was logged in it, whoever logged it, and nothing of another's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from ray.rllib.utils.metrics.metrics_logger import DEFAULT_STATS_CLS_LOOKUP
from ray.rllib.utils.metrics.stats import MeanStats

MEAN = "mean_of_all"  # how to log such a figure: log_value(..., reduce=MEAN)

#: RLlib's own figures that are not of the iteration that reports them: averages over several, the last minibatch's
#: only, the next update's, the last hundred episodes of each worker, or absent in some iterations.
_NOT_OF_THE_ITERATION = {
    "learners": re.compile(
        r"gradients_\w+_global_norm|\w+_learning_rate|total_loss|weights_seq_no|curr_\w+_coeff"
        r"|module_train_batch_size_mean|diff_num_grad_updates_vs_sampler_policy|num_(non_)?trainable_parameters"
    ),
    "env_runners": re.compile(
        r"episode_\w+|(env_to_module|module_to_env)_\w+|sample|env_(step|reset)_timer|rlmodule_inference_timer"
        r"|time_between_sampling|weights_seq_no|num_\w+_throughput"
    ),
}


class MeanOfAll(MeanStats):
    """The mean of what several workers or learners logged, each value counted once.

    RLlib's mean is that of their means: 11 successes of 13 and 7 of 10 would be 77.3 % of 23 episodes for 78.3. nan is
    left out, as there: an update with such a loss is skipped, and counted.
    """

    stats_cls_identifier = MEAN

    def reduce(self, compile: bool = True) -> Any:
        """The mean; with ``compile`` False, the values themselves for whoever puts them beside others'."""
        if compile:
            return super().reduce(compile=True)
        values = list(self.values)
        if values and torch.is_tensor(values[0]):  # one look at their device for all of them
            values = torch.stack(values).tolist()
        stats = super().reduce(compile=False)
        stats.values = values
        return stats


def without_means(state: Mapping[str, Any]) -> dict[str, Any]:
    """A logger's state without RLlib's own means. Between iterations they hold nothing, and one that an earlier version
    of this project logged would stay of that kind: RLlib goes by the first ``reduce`` of a name."""
    kept = {name: each for name, each in state["stats"].items() if each["stats_cls_identifier"] != "mean"}
    return {**state, "stats": kept}


#: What a config gives to ``reporting(custom_stats_cls_lookup=...)``.
STATS = DEFAULT_STATS_CLS_LOOKUP | {MEAN: MeanOfAll}


def of_the_iteration(section: str, figures: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Name and value of what "learners" or "env_runners" of an RLlib result say of the iteration, in single numbers."""
    for name, value in figures.items():
        single = isinstance(value, (int, float, np.number)) or (torch.is_tensor(value) and value.numel() == 1)
        if single and not _NOT_OF_THE_ITERATION[section].fullmatch(name):
            yield name, float(value)

#!/usr/bin/env bash
# RLlib: "skip updates with nan" steps with the nan, and "set to zero" makes infinity 3.4e38 and freezes the weight
#
# ray[rllib] 2.60.0, torch 2.13.0, Python 3.11.
# One would expect, by the description of framework(torch_skip_nan_gradients=...): True leaves a whole update out if a
#   gradient is nan; the default False (and its log line, "Setting nan/inf gradients to zero") steps with zeros
#   instead.
# What happens: True skips the *check*: the optimizer steps with the nan, and the weight is nan from then on. False
#   calls nan_to_num, which makes 0 of nan but 3.4028e38 of inf. Adam squares that, its second moment is infinite for
#   ever, and the weight never moves again, with no nan anywhere. One bad gradient, then 100 updates with gradient 1,
#   lr 1e-3:
#     setting  bad   step with    that weight moved by   its neighbour
#     False    nan   0            -0.1                   -0.1
#     False    inf   3.4028e+38    0.0                   -0.1
#     True     nan   nan           nan                   -0.1
#     True     inf   inf           nan                   -0.1
#   (Without clipping. Clipping by global norm makes a nan of the inf and 0 of all others first.)
# Why it matters: whoever turns the safety on loses the run at the first nan; whoever leaves it off can lose single
#   weights for the rest of the training, which no log shows.
# How to be right: leave it False, and in the learner check that the total norm is finite before the step; skip it if
#   not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
# The torch without CUDA, where that index can be reached: 0.2 instead of 3 GB.
"$folder/bin/python" -m pip install --quiet --retries 0 --extra-index-url https://download.pytorch.org/whl/cpu \
  torch==2.13.0 "ray[rllib]==2.60.0" gymnasium==1.2.2 numpy==2.4.6
"$folder/bin/python" -W ignore - 2> /dev/null <<'PY'
import logging

import gymnasium
import torch
from ray.rllib.algorithms.ppo import PPOConfig

logging.disable(logging.CRITICAL)


def moved(skip, bad):
    """What the bad gradient became, and how far its weight and the next one went after 100 good ones."""
    config = PPOConfig().environment("CartPole-v1").framework(torch_skip_nan_gradients=skip).training(lr=1e-3)
    learner = config.build_learner(env=gymnasium.make("CartPole-v1"))
    name, weights = next(iter(learner._params.items()))
    gradients = {key: torch.zeros_like(value) for key, value in learner._params.items()}
    gradients[name][0, 0] = bad
    start = weights.detach().clone()
    learner.apply_gradients(gradients)
    became = float(weights.grad[0, 0])
    for _ in range(100):
        learner.apply_gradients({key: torch.ones_like(value) for key, value in learner._params.items()})
    there, beside = (weights.detach() - start)[0, :2].tolist()
    print(f"{skip!s:5} {bad}: step with {became:.5g}, moved {there:.3f}, neighbour {beside:.3f}")
    return f"{became:.5g} {there:.3f} {beside:.3f}"


assert moved(False, float("nan")) == "0 -0.100 -0.100"
assert moved(False, float("inf")) == "3.4028e+38 0.000 -0.100"
assert moved(True, float("nan")) == "nan nan -0.100"
assert moved(True, float("inf")) == "inf nan -0.100"
PY

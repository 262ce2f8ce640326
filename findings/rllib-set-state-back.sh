#!/usr/bin/env bash
# RLlib: Algorithm.set_state with an earlier state restores the optimizer and leaves the weights as they are
#
# ray 2.60.0, torch 2.13.0 (CPU build), Python 3.11.
# One would expect: state = algorithm.get_state(), further training, algorithm.set_state(state), and the weights are
#   those of the state, as they are in a new algorithm that is given it.
# What happens: a learner, and an environment runner likewise, takes weights only where the state's weights_seq_no is
#   above its own, which counts its updates. So set_state on an algorithm that has trained on gives back the optimizer's
#   state and not the weights. restore_from_path gives the learner's weights back, and the runner goes on to sample with
#   the later ones. Nothing is raised or logged.
# Why it matters: trying several continuations from one state, going back after a bad iteration, and Tune's reuse of
#   actors all continue from, or sample with, what should have been dropped.
# How to be right: give the state to a new algorithm; or set the state without its "weights_seq_no" (a missing one is
#   taken as an order) on learners and runners.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet "ray[rllib]==2.60.0" torch==2.13.0 numpy==2.4.6
"$folder/bin/python" - 2> /dev/null <<'PY'
import tempfile

import numpy as np
from ray.rllib.algorithms.ppo import PPOConfig


def weights(part):
    return np.concatenate([np.ravel(value) for _, value in sorted(part.get_state().items())])


def learner(algorithm):
    return weights(algorithm.learner_group._learner.module["default_policy"])


def runner(algorithm):
    state = algorithm.env_runner.module.get_state()
    return {name: np.copy(value) for name, value in state.items()}


def build():
    config = PPOConfig().environment("CartPole-v1").env_runners(num_env_runners=0)
    return config.training(train_batch_size=200, minibatch_size=50, num_epochs=1).debugging(seed=0).build_algo()


algorithm = build()
algorithm.train()
state, then, played = algorithm.get_state(), learner(algorithm).copy(), runner(algorithm)
with tempfile.TemporaryDirectory() as path:
    algorithm.save_to_path(path)
    for _ in range(3):
        algorithm.train()
    later = learner(algorithm).copy()
    algorithm.set_state(state)
    back, still = np.array_equal(learner(algorithm), then), np.array_equal(learner(algorithm), later)
    print("set_state: back", back, "as before", still)
    assert (back, still) == (False, True)

    algorithm.restore_from_path(path)
    back = np.array_equal(learner(algorithm), then)
    sampling = all(np.array_equal(value, played[name]) for name, value in runner(algorithm).items())
    print("restore_from_path: learner back", back, "runner back", sampling)
    assert (back, sampling) == (True, False)
algorithm.stop()

fresh = build()
fresh.set_state(state)
print("in a new algorithm: back", np.array_equal(learner(fresh), then))
assert np.array_equal(learner(fresh), then)
fresh.stop()
PY

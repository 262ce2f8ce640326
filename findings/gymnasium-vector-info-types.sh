#!/usr/bin/env bash
# The first environment of a vector decides the type of everybody's info
#
# gymnasium 1.2.2, numpy 2.4.6, Python 3.11.
# One would expect: a vector environment gathers the infos of its environments as they are. Environment 0 reports the
#   score 0, environment 1 the score 0.75, environment 2 the score 1.0, so infos["score"] is [0, 0.75, 1].
# What happens: the array is made with the type of the value that came first, and the others are cast to it without a
#   word. A Python int first cuts fractions off, a bool first makes everything true. In another order all is right:
#     [0, 0.75, 1.0]     -> [0, 0, 1]
#     [0.75, 0, 1.0]     -> [0.75, 0.0, 1.0]
#     [False, 0.75, 0.0] -> [False, True, False]
#     arrays [1, 2] and [0.5, 0.25] -> [[1, 2], [0, 0]]
#   The rewards themselves are safe: they have an array of floats of their own.
# Why it matters: a shop pays partial rewards and reports their parts in info (0 where nothing fits, 0.75 where most
#   does). A mean over vector infos is too low in those steps in which environment 0 wrote 0 instead of 0.0, and only
#   then.
# How to be right: every value of info has one type for ever (float(x), bool(x)), or look into environment.envs[i].
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet gymnasium==1.2.2 numpy==2.4.6
"$folder/bin/python" - <<'PY'
import gymnasium
import numpy as np


class Shop(gymnasium.Env):
    observation_space = gymnasium.spaces.Discrete(2)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, score):
        self.score = score

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {}

    def step(self, action):
        return 0, 0.0, False, False, {"score": self.score}


def gathered(*scores):
    shops = gymnasium.vector.SyncVectorEnv([lambda score=score: Shop(score) for score in scores])
    shops.reset(seed=0)
    found = shops.step(np.zeros(len(scores), int))[-1]["score"].tolist()
    print(*scores, "->", found)
    return found


assert gathered(0, 0.75, 1.0) == [0, 0, 1]
assert gathered(0.75, 0, 1.0) == [0.75, 0.0, 1.0]
assert gathered(False, 0.75, 0.0) == [False, True, False]
assert gathered(np.array([1, 2]), np.array([0.5, 0.25])) == [[1, 2], [0, 0]]
PY

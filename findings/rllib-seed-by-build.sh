#!/usr/bin/env bash
# RLlib: a seed makes all of torch deterministic in a worker, and slower to start, if torch was built without CUDA only
#
# ray 2.60.0, torch 2.13.0 (CPU build), Python 3.11.
# One would expect: config.debugging(seed=0) draws the generators' numbers from that seed, on any machine alike.
# What happens: ray.rllib.utils.torch_utils.set_torch_seed asks torch.version.cuda. Where it is None, it calls
#   torch.use_deterministic_algorithms(True) for the whole process, which fills what torch.empty returns with nan and
#   imports torch._inductor, torch._dynamo and sympy. Where torch has CUDA, also on a node without a GPU, it does not.
# Why it matters: the same code, config and CPU give a worker of another mode, speed and size by the wheel that was
#   installed; an environment runner without a seed is 70 MB smaller. Code that runs on the CUDA image may raise on the CPU
#   image, where an operation has no deterministic form.
# How to be right: do not take deterministic algorithms as given, nor as absent, behind a seed; call
#   torch.use_deterministic_algorithms yourself, after RLlib has built the worker.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet "ray[rllib]==2.60.0" torch==2.13.0 numpy==2.4.6
"$folder/bin/python" - 2> /dev/null <<'PY'
import sys

import torch
from ray.rllib.utils.debug import update_global_seed_if_necessary


def state():
    return torch.are_deterministic_algorithms_enabled(), "torch._inductor" in sys.modules, "sympy" in sys.modules


assert torch.version.cuda is None
print("before", state(), torch.empty(4).isnan().all().item())
assert state() == (False, False, False)

torch.version.cuda = "12.8"  # as a build with CUDA says, here on a machine without a GPU
update_global_seed_if_necessary("torch", 0)
print("a seed, built with CUDA", state())
assert state() == (False, False, False)

torch.version.cuda = None
update_global_seed_if_necessary("torch", 0)
print("a seed, built without", state(), torch.empty(4).isnan().all().item())
assert state() == (True, True, True) and torch.empty(4).isnan().all()
PY

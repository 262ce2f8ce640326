#!/usr/bin/env bash
# torch: an embedding on the meta device imports the compiler and sympy; a linear layer does not
#
# torch 2.13.0, Python 3.11.
# One would expect: to make a model on the meta device, which has sizes and no numbers, is what one does to save time and
#   memory, in each process that loads weights.
# What happens: nn.Linear (a uniform draw), ones, zeros and torch.empty import nothing. nn.Embedding (a normal draw) is
#   computed by Python code of torch._refs, which imports torch._dynamo, torch._inductor and sympy: some 800 modules, 70 MB
#   that stay, and more than a second. So does every transformer. Inside `with torch.device("meta")` Module.to_empty imports
#   sympy as well.
# Why it matters: a rollout worker pays it at each start, and as much memory again as a small model's weights, for a draw
#   that draws nothing.
# How to be right: make embeddings by nn.Embedding.from_pretrained(torch.empty(n, d), freeze=False), and real tensors by
#   torch.zeros of each parameter's shape.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet torch==2.13.0 numpy==2.4.6
"$folder/bin/python" - 2> /dev/null <<'PY'
import sys

import torch
from torch import nn

HEAVY = ("sympy", "torch._dynamo", "torch._inductor")


def imported(made):
    before = set(sys.modules)
    made()
    new = set(sys.modules) - before
    print(f"{len(new):4} modules, of these {[name for name in HEAVY if name in new]}")
    return new


def under_meta(kind, *sizes):
    with torch.device("meta"):
        return kind(*sizes)


assert not set(HEAVY) & sys.modules.keys()
assert not set(HEAVY) & imported(lambda: under_meta(nn.Linear, 8, 8))
assert not set(HEAVY) & imported(lambda: under_meta(nn.LayerNorm, 8))
assert not set(HEAVY) & imported(lambda: nn.Embedding.from_pretrained(torch.empty(8, 8, device="meta"), freeze=False))
found = imported(lambda: under_meta(nn.Embedding, 8, 8))
assert set(HEAVY) <= found and len(found) > 500
PY

#!/usr/bin/env bash
# dm-tree and optree flatten one OrderedDict in two orders; and dm-tree pairs values of different keys
#
# dm-tree 0.1.10 (RLlib's), optree 0.20.0 (of TorchRL and others), Python 3.11.
# One would expect: two libraries with one purpose, flatten and map nested observations, list the same leaves in the
#   same order; and map_structure(check_types=False) lets a dict meet an OrderedDict, not "a" meet "price".
# What happens: dm-tree sorts the keys of every mapping; optree sorts those of a dict and leaves an OrderedDict as it
#   is. None is a leaf for the one and nothing at all for the other. And dm-tree compares only the *number* of keys
#   without type checks:
#     OrderedDict(state=1, actions=2, mask=None):  dm-tree [2, None, 1]   optree [1, 2]
#     map_structure over {"a": 1, "b": 2} and {"a": 10, "c": 20}:
#       check_types=True   raises, the keys differ
#       check_types=False  {"a": (1, 10), "b": (2, 20)}
# Why it matters: gymnasium's Dict observations reach both. Leaves that one library flattened and the other unflattens
#   come back under each other's names if their number and shapes allow it, and a gradient or a normaliser for "b" is
#   applied to "c".
# How to be right: plain dicts without None between the two libraries, one library from flatten to unflatten, and
#   assert a.keys() == b.keys() where check_types is off.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet dm-tree==0.1.10 optree==0.20.0
"$folder/bin/python" - <<'PY'
from collections import OrderedDict

import optree
import tree

observation = OrderedDict(state=1, actions=2, mask=None)
print("OrderedDict: dm-tree", tree.flatten(observation), "optree", optree.tree_leaves(observation))
assert tree.flatten(observation) == [2, None, 1] and optree.tree_leaves(observation) == [1, 2]
assert tree.flatten(dict(observation)) == [2, None, 1] and optree.tree_leaves(dict(observation)) == [2, 1]

whole = OrderedDict(state=1, actions=2)
swapped = optree.tree_unflatten(optree.tree_structure(whole), tree.flatten(whole))
print("there and back:", dict(whole), "->", dict(swapped))
assert dict(swapped) == {"state": 2, "actions": 1}

paired = tree.map_structure(lambda *both: both, {"a": 1, "b": 2}, {"a": 10, "c": 20}, check_types=False)
print("different keys, check_types=False:", paired)
assert paired == {"a": (1, 10), "b": (2, 20)}
try:
    tree.map_structure(lambda *both: both, {"a": 1, "b": 2}, {"a": 10, "c": 20})
except ValueError as error:
    print("check_types=True:", str(error).splitlines()[0])
else:
    raise SystemExit("different keys are taken now")
PY

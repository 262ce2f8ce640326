#!/usr/bin/env bash
# Ray: ray.remote(Class) changes the signatures of the class that it was given, to arguments that its methods do not take
#
# ray 2.60.0, Python 3.11.
# One would expect: ray.remote returns an actor class, and leaves the class that it was given as it was.
# What happens: the plain class's methods get a __signature__ with one argument more, _ray_trace_ctx. The methods stay
#   what they were, so a call that inspect.signature says is right raises TypeError. Subclasses and inspect.unwrap show
#   it too. typing.get_type_hints and the code object do not.
#     inspect.signature before   (self, amount: int) -> int
#     inspect.signature after    (self, amount: int, *, _ray_trace_ctx=None) -> int
# Why it matters: whatever reads signatures of a class that is used both in this process and as an actor is misled once
#   the actor class was made: a check that a real and a simulated worker take the same arguments, a generated command
#   line or schema, a dependency injection, a mock with autospec.
# How to be right: read the signature before ray.remote is called, or from the code object and get_type_hints.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --retries 0 "ray==2.60.0"
cd "$folder"
"$folder/bin/python" -W ignore - 2> /dev/null <<'PY'
import inspect
from typing import get_type_hints

import ray


class Counter:
    def add(self, amount: int) -> int:
        return amount


class Doubling(Counter):
    pass


def names(method) -> list[str]:
    return list(inspect.signature(method).parameters)


function = Counter.add
print("before:", inspect.signature(Counter.add))
assert names(Counter.add) == ["self", "amount"]

ray.remote(Counter)  # its result is not even kept
print("after: ", inspect.signature(Counter.add))
print("the same function:", Counter.add is function)
print("a subclass shows it:", "_ray_trace_ctx" in names(Doubling.add))
print("unwrapped shows it:", "_ray_trace_ctx" in names(inspect.unwrap(Counter.add)))
print("type hints:", list(get_type_hints(Counter.add)))
print("code object:", Counter.add.__code__.co_varnames)
assert Counter.add is function
assert names(Counter.add) == names(Doubling.add) == ["self", "amount", "_ray_trace_ctx"]
assert list(get_type_hints(Counter.add)) == ["amount", "return"]

inspect.signature(Counter.add).bind(Counter(), 1, _ray_trace_ctx=None)  # right, by the signature
try:
    Counter().add(1, _ray_trace_ctx=None)
except TypeError as error:
    print("called as the signature says:", error)
else:
    raise SystemExit("the method takes it: this has changed")
PY
# Seen on 2026-11-28:
#   before: (self, amount: int) -> int
#   after:  (self, amount: int, *, _ray_trace_ctx=None) -> int
#   the same function: True
#   a subclass shows it: True
#   unwrapped shows it: True
#   type hints: ['amount', 'return']
#   code object: ('self', 'amount')
#   called as the signature says: Counter.add() got an unexpected keyword argument '_ray_trace_ctx'

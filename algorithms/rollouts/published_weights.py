"""Weights on their way from a learner to the workers that play with them.

A file of its own: a worker imports what its tasks' arguments are made of, and not every worker needs torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import ray


@dataclass(frozen=True)
class Weights:
    """A learner's weights for a policy: a reference to a ``PolicyModule``'s state."""

    state: ray.ObjectRef

    @property
    def version(self) -> str:
        """Which they are, among all that anybody published in this cluster."""
        return self.state.hex()

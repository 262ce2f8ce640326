"""What a policy would have done at each step of an episode, whoever played it."""

from __future__ import annotations

from dataclasses import replace

from policies.base import Policy
from policies.play import choice_probabilities
from rl_recsys.evaluation.episodes_page import Episode


def with_probabilities(episode: Episode, policy: Policy, name: str) -> Episode:
    """An episode to watch with how likely a policy, shown by its ``name``, takes each choice."""
    decisions = [step.decision for step in episode.trajectory.steps]
    return replace(episode, policy=name, probabilities=choice_probabilities(policy, decisions))

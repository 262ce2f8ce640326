"""Episodes of a policy on given goals, many sessions at once, in this process; needs no Ray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from policies.choice_model import ChoiceModel
from rl_recsys.decision import MAX_STEPS, ChoiceSession
from rl_recsys.encoding import DecisionEncoder
from rl_recsys.shop import Shop
from rl_recsys.trajectories.shoppers import full_instruction, play, rule_shopper

SESSIONS_AT_ONCE = 16
RULE = "rule"  # the name of the arm without a model


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one episode ended. ``reward`` in [0, 1], 0 without a purchase; ``parts`` is WebShop's breakdown."""

    goal: int
    reward: float
    steps: int
    bought: bool
    parts: dict[str, float | bool]

    @property
    def success(self) -> bool:
        """WebShop's success: a reward of exactly 1."""
        return self.reward == 1.0


def rule_episodes(shop: Shop, goals: Sequence[int]) -> Iterator[Outcome]:
    """The rule baseline on these goals, in order."""
    for goal in goals:
        episode = play(shop, goal, rule_shopper, source="scripted", author=RULE, seed=0, queries=full_instruction)
        yield Outcome(goal, episode.reward, len(episode.steps), episode.done, episode.reward_parts)


def policy_episodes(
    model: ChoiceModel,
    encoder: DecisionEncoder,
    shop: Shop,
    goals: Sequence[int],
    *,
    greedy: bool,
    seed: int = 0,
    max_steps: int = MAX_STEPS,
) -> Iterator[Outcome]:
    """One episode of the model for each goal, as they end. ``greedy`` takes the best action, else they are sampled.

    Each episode draws from its own generator (seed, goal), so the outcome does not depend on which goals are played
    together or where.
    """
    waiting = list(reversed(goals))
    running: list[tuple[int, ChoiceSession, np.random.Generator]] = []
    device = next(model.parameters()).device
    model.eval()
    while waiting or running:
        while waiting and len(running) < SESSIONS_AT_ONCE:
            goal = int(waiting.pop())
            choices = ChoiceSession(shop.session(goal), max_steps=max_steps, max_choices=encoder.shape.choices)
            running.append((goal, choices, np.random.default_rng((seed, goal))))
        logits = _score(model, encoder, [choices for _, choices, _ in running], device)
        still = []
        for row, (goal, choices, rng) in zip(logits, running, strict=True):
            row = row[: len(choices.decision.choices)]
            if not greedy:
                row = row + rng.gumbel(size=len(row))  # the largest is a draw from the softmax
            result = choices.choose(int(np.argmax(row)))
            if result.done or choices.truncated:
                yield Outcome(
                    goal, result.reward if result.done else 0.0, choices.steps, result.done, result.reward_parts
                )
            else:
                still.append((goal, choices, rng))
        running = still


def _score(
    model: ChoiceModel, encoder: DecisionEncoder, sessions: Sequence[ChoiceSession], device: torch.device
) -> np.ndarray:
    """Logits [B, A] of the sessions' decisions; a decision with one choice is not scored."""
    logits = np.zeros((len(sessions), encoder.shape.choices))
    open_rows = [row for row, choices in enumerate(sessions) if len(choices.decision.choices) > 1]
    if open_rows:
        encoded = [encoder.encode(sessions[row].decision) for row in open_rows]
        observation = {
            key: torch.as_tensor(np.stack([one[key] for one in encoded]), device=device) for key in encoded[0]
        }
        with torch.no_grad():
            logits[open_rows] = model(observation)[0].cpu().numpy()
    return logits

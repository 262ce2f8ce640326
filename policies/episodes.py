"""Episodes of a policy on given goals, many sessions at once, in this process; needs no Ray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

from policies.choice_model import ChoiceModel
from rl_recsys.decision import MAX_STEPS, ChoiceSession
from rl_recsys.encoding import DecisionEncoder
from rl_recsys.shop import Shop, StepResult
from rl_recsys.trajectories.record import Step, Trajectory
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
    at_once: int = SESSIONS_AT_ONCE,
) -> Iterator[Outcome]:
    """One episode of the model for each goal, as they end. ``greedy`` takes the best action, else they are sampled.

    Each episode draws from its own generator (seed, goal), so the outcome does not depend on which goals are played
    together or where. A goal that is given again is played with other draws. ``at_once`` sessions are scored together.
    """
    for episode, result in _play(model, encoder, shop, goals, greedy, seed, max_steps, at_once, recording=False):
        reward = result.reward if result.done else 0.0
        yield Outcome(episode.goal, reward, episode.choices.steps, result.done, result.reward_parts)


def policy_trajectories(
    model: ChoiceModel,
    encoder: DecisionEncoder,
    shop: Shop,
    goals: Sequence[int],
    *,
    author: str,
    greedy: bool = False,
    seed: int = 0,
    max_steps: int = MAX_STEPS,
) -> Iterator[Trajectory]:
    """The same episodes with all their steps, by ``author``."""
    for episode, result in _play(
        model, encoder, shop, goals, greedy, seed, max_steps, SESSIONS_AT_ONCE, recording=True
    ):
        yield Trajectory(
            goal=asdict(episode.choices.session.goal),
            goal_index=episode.goal,
            source="policy",
            author=author,
            seed=seed,
            steps=tuple(episode.steps),
            reward=result.reward if result.done else 0.0,
            done=result.done,
            reward_parts=result.reward_parts,
        )


@dataclass
class _Episode:
    """An episode under way."""

    goal: int
    choices: ChoiceSession
    rng: np.random.Generator
    steps: list[Step]


def _play(
    model: ChoiceModel,
    encoder: DecisionEncoder,
    shop: Shop,
    goals: Sequence[int],
    greedy: bool,
    seed: int,
    max_steps: int,
    at_once: int,
    *,
    recording: bool,
) -> Iterator[tuple[_Episode, StepResult]]:
    """Episodes as they end, each with its last result; many sessions are scored together."""
    waiting, played = list(reversed(goals)), Counter()
    running: list[_Episode] = []
    device = next(model.parameters()).device
    model.eval()
    while waiting or running:
        while waiting and len(running) < at_once:
            goal = int(waiting.pop())
            choices = ChoiceSession(shop.session(goal), max_steps=max_steps, max_choices=encoder.shape.choices)
            again = (played[goal],) if played[goal] else ()
            running.append(_Episode(goal, choices, np.random.default_rng((seed, goal, *again)), []))
            played[goal] += 1
        logits = _score(model, encoder, [episode.choices for episode in running], device)
        still = []
        for row, episode in zip(logits, running, strict=True):
            choices = episode.choices
            row = row[: len(choices.decision.choices)]
            if not greedy:
                row = row + episode.rng.gumbel(size=len(row))  # the largest is a draw from the softmax
            chosen = int(np.argmax(row))
            if recording:
                episode.steps.append(Step.of(choices, chosen))
            result = choices.choose(chosen)
            if result.done or choices.truncated:
                yield episode, result
            else:
                still.append(episode)
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

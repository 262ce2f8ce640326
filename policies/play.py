"""Episodes of a policy on given goals, many sessions at once, in this process; needs no Ray."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from policies.base import Policy
from rl_recsys.core.decision import Decision
from rl_recsys.core.encoding import require_readable
from rl_recsys.core.outcome import Outcome
from rl_recsys.core.policy_folder import PolicyError
from rl_recsys.core.preferences import sample_actions
from rl_recsys.core.task import Session, StepResult, Task
from rl_recsys.core.trajectory import Step, Trajectory

SESSIONS_AT_ONCE = 16


def policy_episodes(
    policy: Policy,
    task: Task,
    goals: Sequence[int],
    *,
    greedy: bool,
    draws: Sequence[int] | None = None,
    seed: int = 0,
    max_steps: int | None = None,
    at_once: int = SESSIONS_AT_ONCE,
) -> Iterator[Outcome]:
    """One episode of the policy for each goal, in their order. ``greedy`` takes the best action, else they are sampled.

    Each episode draws from its own generator (seed, goal, draw), so the outcome does not depend on which goals are
    played together or where. ``draws``: a number for each goal, 0 by default; sampled episodes of one goal with
    different numbers differ. ``at_once`` sessions are scored together.
    """
    goals, draws = list(map(int, goals)), [0] * len(goals) if draws is None else draws
    played = play_together(policy, task, goals, draws, greedy=greedy, seed=seed, max_steps=max_steps, at_once=at_once)
    for episode, result in played:
        reward = result.reward if result.done else 0.0
        yield Outcome(episode.goal, reward, episode.session.steps, result.done, dict(result.reward_parts))


def policy_trajectories(
    policy: Policy,
    task: Task,
    goals: Sequence[int],
    *,
    author: str,
    draws: Sequence[int] | None = None,
    greedy: bool = False,
    seed: int = 0,
    max_steps: int | None = None,
) -> Iterator[Trajectory]:
    """The same episodes with all their steps, by ``author``."""
    goals, draws = list(map(int, goals)), [0] * len(goals) if draws is None else draws
    played = play_together(policy, task, goals, draws, greedy=greedy, seed=seed, max_steps=max_steps, recording=True)
    for episode, result in played:
        yield recorded(episode, result, author=author, seed=seed)


@dataclass
class Episode:
    """An episode under way, or ended, the ``number``-th of those that were asked for."""

    number: int
    goal: Any
    session: Session
    rng: np.random.Generator
    steps: list[Step]
    logits: list[np.ndarray]


def recorded(episode: Episode, result: StepResult, *, author: str, seed: int) -> Trajectory:
    """What an episode of one of the task's goals was, by ``author``."""
    of = {"goal": episode.goal, "source": "policy", "author": author, "seed": seed}
    return Trajectory.played(episode.session, episode.steps, result, **of)


def play_together(
    policy: Policy,
    task: Task,
    goals: Sequence[Any],
    draws: Sequence[int],
    *,
    greedy: bool,
    seed: int = 0,
    max_steps: int | None = None,
    at_once: int = SESSIONS_AT_ONCE,
    recording: bool = False,
    beginnings: Sequence[Sequence[int]] | None = None,
) -> Iterator[tuple[Episode, StepResult]]:
    """Episodes with their last result, in the order of the goals; ``at_once`` sessions are scored together.

    A goal is one of the task's, by its index, or another. ``recording``: keep the steps, and the logits of those that
    the policy chose. ``beginnings``: choices that each episode begins with, whatever the policy would choose there.
    """
    beginnings = [()] * len(goals) if beginnings is None else beginnings
    waiting = enumerate(zip(goals, draws, beginnings, strict=True))
    running: list[Episode] = []
    ended: dict[int, tuple[Episode, StepResult]] = {}
    encoder = policy.decision_encoder
    require_readable(task, encoder)
    policy.eval()
    for wanted in range(len(goals)):
        while wanted not in ended:
            for number, (goal, draw, beginning) in itertools.islice(waiting, at_once - len(running)):
                session = task.session(goal, max_steps=max_steps, max_choices=encoder.choices)
                key = (seed, goal if isinstance(goal, int) else _entropy(session.goal["instruction_text"]))
                rng = np.random.default_rng((*key, draw) if draw else key)
                episode = Episode(number, goal, session, rng, [], [])
                begun = [_take(episode, chosen, recording) for chosen in beginning]
                if begun and _is_over(episode, begun[-1]):
                    ended[number] = episode, begun[-1]
                else:
                    running.append(episode)
            logits = _score(policy, [episode.session.decision for episode in running])
            still = []
            for row, episode in zip(logits, running, strict=True):
                result = _act(episode, row, greedy, recording)
                if _is_over(episode, result):
                    ended[episode.number] = episode, result
                else:
                    still.append(episode)
            running = still
        yield ended.pop(wanted)


def _entropy(instruction: str) -> int:
    """What tells the draws of a goal without an index from another's."""
    return int.from_bytes(hashlib.sha256(instruction.encode()).digest()[:8])


def _act(episode: Episode, logits: np.ndarray, greedy: bool, recording: bool) -> StepResult:
    logits = logits[: len(episode.session.decision.choices)]
    chosen = int(np.argmax(logits) if greedy else sample_actions(logits, episode.rng))
    if recording:
        episode.logits.append(logits)
    return _take(episode, chosen, recording)


def _take(episode: Episode, chosen: int, recording: bool) -> StepResult:
    if recording:
        episode.steps.append(Step.of(episode.session, chosen))
    return episode.session.choose(chosen)


def _is_over(episode: Episode, result: StepResult) -> bool:
    return result.done or episode.session.truncated


def choice_probabilities(policy: Policy, decisions: Sequence[Decision]) -> list[np.ndarray | None]:
    """How likely a policy takes each choice of some decisions; None for one with more choices than it reads.

    Raises ``EncodingError`` where an instruction does not fit.
    """
    found: list[np.ndarray | None] = [None] * len(decisions)
    places = [n for n, one in enumerate(decisions) if 0 < len(one.choices) <= policy.decision_encoder.choices]
    for start in range(0, len(places), SESSIONS_AT_ONCE):
        chunk = places[start : start + SESSIONS_AT_ONCE]
        for place, logits in zip(chunk, _score(policy, [decisions[place] for place in chunk]), strict=True):
            likely = np.exp(logits[: len(decisions[place].choices)] - logits.max())
            found[place] = likely / likely.sum()
    return found


def _score(policy: Policy, decisions: Sequence[Decision]) -> np.ndarray:
    """Logits [B, A] of decisions; one with a single choice is not scored."""
    encoder, device = policy.decision_encoder, next(policy.parameters()).device
    logits = np.zeros((len(decisions), encoder.choices))
    open_rows = [row for row, decision in enumerate(decisions) if len(decision.choices) > 1]
    if open_rows:
        encoded = [encoder.encode(decisions[row]) for row in open_rows]
        observation = {
            name: torch.as_tensor(np.stack([arrays[name] for arrays in encoded]), device=device) for name in encoded[0]
        }
        with torch.no_grad():
            scored = policy(observation)[0].cpu().numpy()
        if not np.isfinite(scored).all():
            raise PolicyError(
                f"{policy.name}: the policy gives an action a logit that is no finite number, so its weights are "
                "damaged; copy it again, or train it with a lower --learning-rate"
            )
        logits[open_rows] = scored
    return logits

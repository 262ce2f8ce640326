"""Episodes of a policy on given goals, many sessions at once, in this process; needs no Ray."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from policies.base import Policy
from policies.logits import require_finite
from rl_recsys.core.decision import Decision
from rl_recsys.core.encoding import require_readable
from rl_recsys.core.outcome import Outcome, paid
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
    different numbers differ. ``at_once`` sessions are scored together. Raises ``TaskError`` where the world pays what
    is no reward.
    """
    goals, draws = list(map(int, goals)), [0] * len(goals) if draws is None else draws
    played = play_together(policy, task, goals, draws, greedy=greedy, seed=seed, max_steps=max_steps, at_once=at_once)
    for episode, result in played:
        yield Outcome(episode.goal, paid(result), episode.session.steps, result.done, dict(result.reward_parts))


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
    temperature: float = 1.0,
) -> Iterator[Trajectory]:
    """The same episodes with all their steps, by ``author``. Sampled ones draw from logits / ``temperature``."""
    goals, draws = list(map(int, goals)), [0] * len(goals) if draws is None else draws
    played = play_together(
        policy, task, goals, draws, greedy=greedy, seed=seed, max_steps=max_steps, recording=True,
        temperature=temperature,
    )  # fmt: skip
    for episode, result in played:
        yield recorded(episode, result, author=author, seed=seed)


@dataclass(frozen=True, eq=False)
class SampledEpisode:
    """An episode with what the policy that sampled it made of its T decisions.

    log_probabilities [T]: log pi(a | s) of the action that was taken, at the temperature that it was sampled at; 0
    where there was one action. likeliest [T]: the probability of the likeliest action, alike.
    """

    trajectory: Trajectory
    log_probabilities: np.ndarray
    likeliest: np.ndarray


def sampled_episodes(
    policy: Policy,
    task: Task,
    goals: Sequence[int],
    *,
    author: str,
    draws: Sequence[int],
    seed: int = 0,
    temperature: float = 1.0,
) -> Iterator[SampledEpisode]:
    """The episodes of ``policy_trajectories``, sampled, with the probabilities that they were sampled with."""
    played = play_together(
        policy, task, list(map(int, goals)), draws, greedy=False, seed=seed, recording=True, temperature=temperature
    )
    for episode, result in played:
        spread = [log_softmax(logits / temperature) for logits in episode.logits]
        taken = np.array([row[chosen] for row, chosen in zip(spread, episode.taken, strict=True)])
        likeliest = np.array([np.exp(row.max()) for row in spread])
        yield SampledEpisode(recorded(episode, result, author=author, seed=seed), taken, likeliest)


@dataclass
class Episode:
    """An episode under way, or over, by whatever ``number`` it was begun with.

    ``taken``: the index of each choice. ``result`` is the last one's.
    """

    number: int
    goal: Any
    session: Session
    rng: np.random.Generator
    greedy: bool
    taken: list[int] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    logits: list[np.ndarray] = field(default_factory=list)
    result: StepResult | None = None

    @property
    def is_over(self) -> bool:
        """Whether it ended, or ran out of steps."""
        return self.result is not None and (self.result.done or self.session.truncated)


def recorded(episode: Episode, result: StepResult, *, author: str, seed: int) -> Trajectory:
    """What an episode of one of the task's goals was, by ``author``."""
    of = {"goal": episode.goal, "source": "policy", "author": author, "seed": seed}
    return Trajectory.played(episode.session, episode.steps, result, **of)


class EpisodesUnderWay:
    """A policy's episodes of whatever goals, scored together; others may begin at any time.

    ``recording``: keep the steps, and the logits of those that the policy chose. ``temperature``: what logits are
    divided by where actions are sampled. Raises ``EncodingError`` for a policy of another task.
    """

    def __init__(
        self,
        policy: Policy,
        task: Task,
        *,
        max_steps: int | None = None,
        recording: bool = False,
        temperature: float = 1.0,
    ):
        require_readable(task, policy.decision_encoder)
        self._policy, self._task = policy.eval(), task
        self._max_steps, self._recording, self._temperature = max_steps, recording, temperature
        self._running: list[Episode] = []

    def __len__(self) -> int:
        return len(self._running)

    @property
    def episodes(self) -> Sequence[Episode]:
        """In the order in which they began."""
        return tuple(self._running)

    def begin(
        self, number: int, goal: Any, draw: int, *, greedy: bool, seed: int = 0, beginning: Sequence[int] = ()
    ) -> Episode:
        """A new episode, which may be over already: its first choices are those of ``beginning``."""
        session = self._task.session(goal, max_steps=self._max_steps, max_choices=self._policy.decision_encoder.choices)
        key = (seed, goal if isinstance(goal, int) else _entropy(session.goal["instruction_text"]))
        episode = Episode(number, goal, session, np.random.default_rng((*key, draw) if draw else key), greedy)
        for chosen in beginning:
            self._take(episode, chosen)
        if not episode.is_over:
            self._running.append(episode)
        return episode

    def step(self) -> list[Episode]:
        """One action of every episode; those that are over by it, in the order in which they began."""
        logits = _score(self._policy, [episode.session.decision for episode in self._running])
        for row, episode in zip(logits, self._running, strict=True):
            row = row[: len(episode.session.decision.choices)]
            if self._recording:
                episode.logits.append(row)
            chosen = np.argmax(row) if episode.greedy else sample_actions(row / self._temperature, episode.rng)
            self._take(episode, int(chosen))
        over = [episode for episode in self._running if episode.is_over]
        self._running = [episode for episode in self._running if not episode.is_over]
        return over

    def leave(self, episodes: Collection[Episode]) -> None:
        """Play some episodes no further."""
        left = set(map(id, episodes))
        self._running = [episode for episode in self._running if id(episode) not in left]

    def _take(self, episode: Episode, chosen: int) -> None:
        if self._recording:
            episode.steps.append(Step.of(episode.session, chosen))
        episode.taken.append(chosen)
        episode.result = episode.session.choose(chosen)


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
    temperature: float = 1.0,
    beginnings: Sequence[Sequence[int]] | None = None,
) -> Iterator[tuple[Episode, StepResult]]:
    """Episodes with their last result, in the order of the goals; ``at_once`` sessions are scored together.

    A goal is one of the task's, by its index, or another. ``recording``, ``temperature``: see ``EpisodesUnderWay``.
    ``beginnings``: choices that each episode begins with, whatever the policy would choose there.
    """
    beginnings = [()] * len(goals) if beginnings is None else beginnings
    waiting = enumerate(zip(goals, draws, beginnings, strict=True))
    ended: dict[int, Episode] = {}
    under_way = EpisodesUnderWay(policy, task, max_steps=max_steps, recording=recording, temperature=temperature)
    for wanted in range(len(goals)):
        while wanted not in ended:
            for number, (goal, draw, beginning) in itertools.islice(waiting, at_once - len(under_way)):
                episode = under_way.begin(number, goal, draw, greedy=greedy, seed=seed, beginning=beginning)
                if episode.is_over:
                    ended[number] = episode
            ended |= {episode.number: episode for episode in under_way.step()}
        episode = ended.pop(wanted)
        yield episode, episode.result


def _entropy(instruction: str) -> int:
    """What tells the draws of a goal without an index from another's."""
    return int.from_bytes(hashlib.sha256(instruction.encode()).digest()[:8])


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


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities [A] of logits [A]."""
    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def _score(policy: Policy, decisions: Sequence[Decision]) -> np.ndarray:
    """Logits [B, A] of decisions; one with a single choice is not scored, equal ones are once.

    Raises ``PolicyError`` where one is no finite number.
    """
    encoder, device = policy.decision_encoder, next(policy.parameters()).device
    logits = np.zeros((len(decisions), encoder.choices))
    rows: dict[Decision, list[int]] = {}
    for row, decision in enumerate(decisions):
        if len(decision.choices) > 1:
            rows.setdefault(decision, []).append(row)
    if rows:
        encoded = [encoder.encode(decision) for decision in rows]
        observation = {
            name: torch.as_tensor(np.stack([arrays[name] for arrays in encoded]), device=device) for name in encoded[0]
        }
        with torch.no_grad():
            scored = require_finite(policy(observation)[0].cpu(), policy.name).numpy()
        for its, row in zip(rows.values(), scored, strict=True):
            logits[its] = row
    return logits

"""A policy as the agent of an evaluation that others' agents take too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policies.base import Policy
from policies.play import policy_trajectories
from rl_recsys.console.terminal import say
from rl_recsys.core.encoding import fitting_goals
from rl_recsys.core.task import Task
from rl_recsys.evaluation.agent_evaluation import AgentEpisode, Planned


def agent_episodes(
    policy: Policy, task: Task, planned: Sequence[Planned], *, max_steps: int, temperature: float, seed: int
) -> Iterator[AgentEpisode]:
    """Play episodes with a policy. ``temperature`` 0 takes the likeliest choice, else they are drawn at it.

    A goal whose instruction does not fit the policy's state is lost without a step, so that every agent is scored on
    the same goals. Raises ``EncodingError`` where none fits, and for a policy of another task.
    """
    fitting = fitting_goals(task, [one.goal for one in planned], policy.decision_encoder)
    if fitting.too_long:
        say(f"counted as lost: {str(fitting).removeprefix('left out: ')}")
    readable = [one for one in planned if one.goal not in fitting.too_long]
    for one in planned:
        if one.goal in fitting.too_long:
            yield AgentEpisode(one.number, one.goal, reward=0.0, steps=0, bought=False)
    played = policy_trajectories(
        policy, task, [one.goal for one in readable], author=policy.name, draws=[one.draw for one in readable],
        greedy=temperature == 0, seed=seed, max_steps=max_steps, temperature=temperature or 1.0,
    )  # fmt: skip
    for one, episode in zip(readable, played, strict=True):
        yield AgentEpisode(
            number=one.number,
            goal=one.goal,
            reward=episode.reward,
            steps=len(episode.steps),
            bought=episode.done,
            actions=[step.actions[step.chosen] for step in episode.steps],
            parts=dict(episode.reward_parts),
        )
